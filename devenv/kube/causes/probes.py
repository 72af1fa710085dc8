"""Containers that run and are not ready: what their probe asks, and what it is answered. Pure.

Source: the kubelet's prober (pkg/probe): its messages in Events of the reason Unhealthy.
"""

import re
from urllib.parse import quote

from devenv.kube.causes.cause import Cause, logs, short, up_after
from devenv.kube.causes.facts import Facts, Spot
from devenv.kube.objects import Document
from devenv.kube.pods import mapping, mappings

FAILED = re.compile(r"^(?P<which>Readiness|Startup|Liveness) probe (?:failed|errored[^:]*): (?P<why>.*)$", re.DOTALL)
REFUSED = re.compile(r"dial tcp \S*?:(?P<port>\d+): (?:connect: )?connection refused")
STATUS = re.compile(r"HTTP probe failed with statuscode: (?P<code>\d+)")
LATE = re.compile(r"deadline exceeded|Client\.Timeout|i/o timeout|timed out|timeout:", re.IGNORECASE)
SCHEME = re.compile(
    r"server gave HTTP response to HTTPS client|malformed HTTP response|Client sent an HTTP request to an HTTPS"
)


def failed(facts: Facts) -> tuple[str, str] | None:
    """Return which probe of the container fails, and how: the newest word of it."""
    spot = facts.spot
    if spot is None or not spot.runs:
        return None
    for message in facts.told("Unhealthy", since=spot.since):
        m = FAILED.match(message)
        if m and spot.spec.get(f"{m['which'].lower()}Probe"):
            return m["which"].lower(), m["why"].strip()
    return None


def wrong_port(facts: Facts) -> Cause | None:
    """Return that a probe asks a port that the container does not name, and that nothing listens on."""
    found, spot = failed(facts), facts.spot
    if found is None or spot is None or not (m := REFUSED.search(found[1])):
        return None
    which, port, known = found[0], int(m["port"]), ports(spot)
    if not known or port in known:
        return None
    has = ", ".join(map(str, known))
    text = f"the {which} probe of {spot.said} asks port {port}, where nothing listens; it has port {has}"
    return Cause("probe-port", text, up_after(f"correct the port of its {which}Probe"))


def failing(facts: Facts) -> Cause | None:
    """Return what the probe asks and what it is answered."""
    found, spot = failed(facts), facts.spot
    if found is None or spot is None:
        return None
    which, why = found
    probe = mapping(spot.spec.get(f"{which}Probe"))
    what = f"the {which} probe of {spot.said} ({asked(probe)})"
    if m := REFUSED.search(why):
        text = f"{what} finds nothing that listens on port {m['port']}: the program is not up yet, or has another port"
        return Cause("probe-port", text, logs(facts.part))
    if m := STATUS.search(why):
        return refused(what, which, int(m["code"]), facts)
    if SCHEME.search(why):
        return Cause(
            "probe-scheme",
            f"{what} has the wrong scheme: {short(why, 160)}",
            up_after(f"correct scheme of its {which}Probe"),
        )
    if LATE.search(why):
        limit = probe.get("timeoutSeconds", 1)
        text = f"{what} is not answered within its timeoutSeconds of {limit} s"
        return Cause("probe-strict", text, up_after(f"raise timeoutSeconds of its {which}Probe"))
    return Cause("probe", f"{what} fails: {short(why) or 'it says nothing'}", logs(facts.part))


def answered(facts: Facts) -> Cause | None:
    """Return what is wrong with an answer of the run that goes on: it counts before the end of the run before.

    That nothing listens is no answer: a program that is about to crash again is asked too.
    """
    found = failed(facts)
    heard = found is not None and (STATUS.search(found[1]) or LATE.search(found[1]))
    return failing(facts) if heard and facts.spot and facts.spot.previous else None


def refused(what: str, which: str, code: int, facts: Facts) -> Cause:
    if code in (401, 403, 404, 405):
        why = {404: "there is nothing at this path", 405: "this path takes no GET"}.get(code, "it asks for a login")
        return Cause(
            "probe-path", f"{what} is answered {code}: {why}", up_after(f"correct the path of its {which}Probe")
        )
    said = f": {short(facts.answer, 200)}" if facts.answer else ""
    return Cause(
        "unready", f"{what} is answered {code}, so the program itself says that it is not ready{said}", logs(facts.part)
    )


def asked(probe: Document) -> str:
    """Return what a probe asks, in a few words."""
    if get := mapping(probe.get("httpGet")):
        return f"GET :{get.get('port')}{get.get('path') or '/'}"
    if tcp := mapping(probe.get("tcpSocket")):
        return f"TCP :{tcp.get('port')}"
    if grpc := mapping(probe.get("grpc")):
        return f"gRPC :{grpc.get('port')}"
    return short(" ".join(map(str, mapping(probe.get("exec")).get("command") or ())), 60)


def ports(spot: Spot) -> list[int]:
    return [int(p["containerPort"]) for p in mappings(spot.spec.get("ports")) if p.get("containerPort")]


def proxied(facts: Facts) -> str:
    """Return the path by which the API server asks the pod what its failing probe does; empty where no HTTP refused."""
    found, spot, pod = failed(facts), facts.spot, facts.pod
    if found is None or spot is None or pod is None or not STATUS.search(found[1]):
        return ""
    get = mapping(mapping(spot.spec.get(f"{found[0]}Probe")).get("httpGet"))
    named = {str(p.get("name")): p.get("containerPort") for p in mappings(spot.spec.get("ports"))}
    port = named.get(str(get.get("port")), get.get("port"))
    scheme = "https:" if get.get("scheme") == "HTTPS" else ""
    path = quote(str(get.get("path") or "/"), safe="/?=&%")
    where = f"/api/v1/namespaces/{pod.id.namespace}/pods/{scheme}{pod.id.name}:{port}/proxy"
    return f"{where}{path if path.startswith('/') else f'/{path}'}"


def never_asked(facts: Facts) -> Cause | None:
    """Return that a container runs and its probe has not been answered well yet, or has not been told of."""
    spot = facts.spot
    if spot is None or not spot.runs or spot.init:
        return None
    probe = mapping(spot.spec.get("readinessProbe")) or mapping(spot.spec.get("startupProbe"))
    if not probe:
        return None
    return Cause(
        "starting",
        f"{spot.said} runs, and its probe ({asked(probe)}) has not been answered yet",
        f"devenv wait {facts.part}",
    )
