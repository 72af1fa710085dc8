"""ConfigMaps and Secrets, or keys of them, that a pod reads and that are not there. Pure.

Sources: pkg/kubelet/kubelet_pods.go (makeEnvironmentVariables), the volume plugins configmap, secret and projected.
"""

import re

from devenv.kube.causes.cause import Cause, short, up_after
from devenv.kube.causes.facts import NOT_YET, Facts
from devenv.kube.readiness import status_of

KIND = {"secret": "Secret", "configmap": "ConfigMap"}
GONE = re.compile(r'(?P<kind>secret|configmap)s? "(?P<name>[^"]+)" not found', re.IGNORECASE)
KEY = re.compile(r"couldn't find key (?P<key>\S+) in (?P<kind>Secret|ConfigMap) (?P<space>[^/\s]+)/(?P<name>\S+)")
MOUNTED_KEY = re.compile(r"references non-existent (?P<kind>secret|config) key: (?P<key>\S+)")
VOLUME = re.compile(r'MountVolume\.SetUp failed for volume "(?P<volume>[^"]+)"')
CONFIG_ERROR = "CreateContainerConfigError"


def of(facts: Facts) -> Cause | None:
    """Return the ConfigMap, the Secret or the key that a container or a volume of the pod lacks."""
    spot, pod = facts.spot, facts.pod
    if pod is None:
        return None
    if spot and spot.waiting.get("reason") == CONFIG_ERROR:
        message = str(spot.waiting.get("message") or "")
        return read(message, spot.said, facts) or Cause(
            "config", f"{spot.said} cannot be made: {short(message)}", up_after("correct its env")
        )
    if status_of(pod).get("phase") != "Pending" or (spot and spot.waiting.get("reason") not in NOT_YET):
        return None  # what was told of its volumes is over
    for message in facts.told("FailedMount"):
        volume = VOLUME.search(message)
        who = f"volume {volume['volume']}" if volume else "a volume"
        if found := read(message, who, facts):
            return found
    return next((mount(message) for message in facts.told("FailedMount", "FailedAttachVolume")), None)


def mount(message: str) -> Cause:
    return Cause("mount", f"a volume cannot be mounted: {short(message)}", "devenv events")


def read(message: str, who: str, facts: Facts) -> Cause | None:
    if m := KEY.search(message):
        return key(m["kind"], m["name"], m["key"], who, facts)
    if m := MOUNTED_KEY.search(message):
        kind = "Secret" if m["kind"] == "secret" else "ConfigMap"
        name = next((n for (k, n), there in facts.keys.items() if k == kind and there and m["key"] not in there), "")
        return key(kind, name, m["key"], who, facts)
    if m := GONE.search(message):
        kind = KIND[m["kind"].lower()]
        text = f"{who} needs {kind} {m['name']}, and there is none in namespace {facts.part.namespace}"
        more = " or [tool.devenv.secrets]" if kind == "Secret" else ""
        return Cause("config-missing", text, up_after(f"add it to the manifests{more}"))
    return None


def key(kind: str, name: str, wanted: str, who: str, facts: Facts) -> Cause:
    there = facts.keys.get((kind, name))
    has = "" if there is None else f"; it has {', '.join(there) or 'none'}"
    text = f"{who} needs key {wanted} of {kind}{f' {name}' if name else ''}, which has no such key{has}"
    return Cause("key-missing", text, up_after(f"correct the key in the manifest or in the {kind}"))
