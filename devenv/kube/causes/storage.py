"""Claims that get no volume, volumes that cannot be mounted or are full. Pure.

Sources: the persistent volume controller's and the external provisioner's events, the kubelet's volume manager.
"""

import re
from dataclasses import replace

from devenv.kube.causes.cause import Cause, kubectl, short, up_after
from devenv.kube.causes.facts import Facts
from devenv.kube.objects import Object
from devenv.kube.pods import claims
from devenv.kube.readiness import spec_of, status_of

DEFAULT_CLASS = "storageclass.kubernetes.io/is-default-class"
NO_PROVISIONER = "kubernetes.io/no-provisioner"
LATER = "WaitForFirstConsumer"
FAILED = ("ProvisioningFailed", "FailedBinding", "VolumeMismatch", "ClaimLost")
FULL = re.compile(r"no space left on device|ENOSPC|Disk quota exceeded", re.IGNORECASE)


def of_claim(facts: Facts) -> Cause | None:
    """Return why a claim that is a part itself is not bound."""
    if facts.part.kind != "PersistentVolumeClaim" or facts.seen is None:
        return None
    return unbound(facts.seen, facts)


def of_pod(facts: Facts) -> Cause | None:
    """Return why a claim of the pod is not bound."""
    names = claims(facts.pod.raw) if facts.pod else set()
    mine = [c for c in facts.around.claims if c.id.name in names and c.id.namespace == facts.part.namespace]
    found = ((claim, unbound(claim, facts)) for claim in mine)
    return next((replace(cause, behind=(claim.id,)) for claim, cause in found if cause), None)


def unbound(claim: Object, facts: Facts) -> Cause | None:
    phase, spec = status_of(claim).get("phase"), spec_of(claim)
    if phase == "Bound":
        return None
    name, see = claim.id.name, kubectl(f"describe pvc {claim.id.name}", claim.id.namespace)
    if phase == "Lost":
        return Cause(
            "volume-lost", f"the volume of claim {name} is gone, with what it held", f"devenv up --replace pvc/{name}"
        )
    classes = {c.id.name: c for c in facts.around.classes}
    wanted = spec.get("storageClassName")
    if wanted and classes and wanted not in classes:
        text = (
            f"claim {name} asks for StorageClass {wanted}, and there is none; there are: {', '.join(sorted(classes))}"
        )
        return Cause("no-provisioner", text, up_after("correct storageClassName"))
    if wanted is None and classes and not any(is_default(c) for c in classes.values()):
        text = f"claim {name} names no StorageClass, and none of the cluster is the default"
        return Cause("no-provisioner", text, up_after("set storageClassName"))
    of_class = classes.get(str(wanted))
    if wanted == "" or (of_class and of_class.raw.get("provisioner") == NO_PROVISIONER):
        text = f"claim {name} waits for a PersistentVolume that a person makes: its StorageClass has no provisioner"
        return Cause("no-provisioner", text, up_after("add the volume, or correct storageClassName"))
    for event in reversed(facts.events):
        if (event.get("involvedObject") or {}).get("uid") != claim.meta.get("uid"):
            continue
        message = str(event.get("message") or "")
        if event.get("reason") in FAILED:
            return Cause("no-provisioner", f"claim {name} gets no volume: {short(message)}", see)
        if event.get("reason") == "ExternalProvisioning":
            by = of_class.raw.get("provisioner") if of_class else ""
            text = f"claim {name} waits for provisioner {by or short(message)}, which makes no volume"
            return Cause("no-provisioner", text, see)
    if of_class and of_class.raw.get("volumeBindingMode") == LATER and facts.part == claim.id:
        return None  # its volume is made for the first pod that uses it
    return Cause("claim-pending", f"claim {name} is not bound yet", see)


def is_default(storage_class: Object) -> bool:
    return (storage_class.meta.get("annotations") or {}).get(DEFAULT_CLASS) == "true"


def full(facts: Facts) -> Cause | None:
    """Return that a volume is full, as a program says it."""
    said = next((line for line in reversed(facts.lines) if FULL.search(line)), "")
    if not said or facts.pod is None or facts.spot is None:
        return None
    held = sorted(claims(facts.pod.raw))
    where = f"its volume ({', '.join(held)})" if held else "its disk"
    see = f"devenv exec {facts.part} -- df -h"
    return Cause("volume-full", f"{where} is full: {short(said.strip())}", see)
