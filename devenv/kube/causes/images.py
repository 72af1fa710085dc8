"""Images that a node cannot get or cannot run. Pure.

Sources: the kubelet's image manager (pkg/kubelet/images), containerd's and runc's errors.
"""

import re
from collections.abc import Iterator

from devenv.images.graph import REGISTRY
from devenv.kube.causes.cause import Cause, short, up_after
from devenv.kube.causes.facts import Facts, Spot
from devenv.kube.readiness import status_of

PULLS = ("ErrImagePull", "ImagePullBackOff", "ErrImageNeverPull", "InvalidImageName", "RegistryUnavailable")
STARTS = ("RunContainerError", "CreateContainerError", "StartError", "ContainerCannotRun", "PostStartHookError")
FORMAT = re.compile(r"exec format error", re.IGNORECASE)
PLATFORM = re.compile(r"no match for platform in manifest|no matching manifest for", re.IGNORECASE)
# What registries and containerd say, and what that means: the first that fits.
WHY = (
    (r"no such host|lookup \S+ on ", "the name of its registry is not known"),
    (r"certificate has expired|x509: ", "the node does not trust the certificate of its registry"),
    (
        r"\b40[13]\b|unauthorized|denied|insufficient_scope|authentication required",
        "its registry asks for a login, or has no such image",
    ),
    (r"\b429\b|toomanyrequests|rate limit", "its registry takes no more requests from here for a while"),
    (r"not found|manifest unknown|\b404\b", "its registry has no such image or tag"),
    (r"timeout|deadline exceeded|connection refused|no route to host|unreachable", "its registry does not answer"),
)  # fmt: skip
NO_PROGRAM = re.compile(r'exec: "(?P<what>[^"]+)": (?P<why>[^:]*(?:not found|no such file)[^:]*)')


def pull(facts: Facts) -> Cause | None:
    spot = facts.spot
    reason = str(spot.waiting.get("reason")) if spot else ""
    if spot is None or reason not in PULLS:
        return None
    image, message = spot.image, pull_message(facts, spot)
    if reason == "InvalidImageName":
        return Cause("image-missing", f"{image} is no name of an image", up_after("correct image in the manifest"))
    if PLATFORM.search(message):
        return architecture(facts, spot)
    ours = image.rpartition("/")[0] == REGISTRY
    if reason == "ErrImageNeverPull" or ours:
        text = f"image {image} of {spot.said} is not on the node, and no registry has it"
        return Cause("image-missing", text, "devenv up" if ours else up_after("correct image or imagePullPolicy"))
    why = next(
        (said for pattern, said in WHY if re.search(pattern, message)), short(message) or "no reason is told yet"
    )
    text = f"image {image} of {spot.said} cannot be pulled: {why}"
    return Cause("image-missing", text, up_after("correct image in the manifest"))


def pull_message(facts: Facts, spot: Spot) -> str:
    """Return what the registry said: while the kubelet waits, an older one tells only in its Events."""
    said = str(spot.waiting.get("message") or "")
    told = (m for m in facts.told("Failed") if spot.image in m and "rror" in m.partition(":")[0] + m)
    return said if ": " in said.removeprefix("Back-off pulling image") else next(told, said)


def wrong_architecture(facts: Facts) -> Cause | None:
    spot = facts.spot
    if spot is None or not (spot.ended or spot.waiting):
        return None
    return architecture(facts, spot) if any(FORMAT.search(text) for text in texts(facts, spot)) else None


def architecture(facts: Facts, spot: Spot) -> Cause:
    of = sorted(
        {str((status_of(n).get("nodeInfo") or {}).get("architecture") or "") for n in facts.around.nodes} - {""}
    )
    node = f"a node of {' or '.join(of)}" if of else "this node"
    text = f"image {spot.image} of {spot.said} is made for another processor than that of {node}"
    return Cause("wrong-architecture", text, up_after("build or name an image for it (key platform of the image)"))


def unstartable(facts: Facts) -> Cause | None:
    """Return why the container's program cannot be started at all."""
    spot = facts.spot
    if spot is None or not {spot.waiting.get("reason"), spot.ended.get("reason")} & {*STARTS}:
        return None
    said = " ".join(texts(facts, spot))
    if m := NO_PROGRAM.search(said):
        text = f"{spot.said} cannot start {m['what']}: {m['why'].strip()} in image {spot.image}"
        return Cause("no-program", text, up_after("correct command in the manifest"))
    return Cause("unstartable", f"{spot.said} cannot be started: {short(said)}", f"devenv events  # of {facts.part}")


def texts(facts: Facts, spot: Spot) -> Iterator[str]:
    yield str(spot.ended.get("message") or "")
    yield str(spot.waiting.get("message") or "")
    if spot.ended:
        yield from facts.lines[-3:]
