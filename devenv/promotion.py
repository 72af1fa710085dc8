"""A promotion, decided: which images an environment takes, what would change and when, how it is undone. Pure."""

import re
from collections.abc import Collection, Iterable, Mapping
from copy import deepcopy
from dataclasses import dataclass
from difflib import unified_diff
from enum import StrEnum
from typing import Any

from devenv import manifest
from devenv.errors import UsageError
from devenv.manifest import Document

# An image by digest alone (reference grammar of distribution, with a registry or a path before the name).
BY_DIGEST = re.compile(r"[a-z0-9][-a-z0-9._:/]*/[a-z0-9][-a-z0-9._]*(:\w[-\w.]*)?@sha256:[0-9a-f]{64}")
# What the API server and its controllers write, not we.
THEIRS = ("managedFields", "resourceVersion", "uid", "generation", "creationTimestamp", "selfLink")
THEIR_ANNOTATIONS = ("deployment.kubernetes.io/", "kubectl.kubernetes.io/last-applied-configuration")


class Kind(StrEnum):
    new = "new"
    changed = "changed"
    same = "same"
    runs = "runs"  # a Job: it is deleted and made anew
    left = "left"  # these credentials may not change it
    unseen = "unseen"  # nor even look at it: it is an administrator's


@dataclass(frozen=True)
class Change:
    """What an object is to become: `before` is what is there, `after` what the API server would make of it."""

    kind: Kind
    wanted: Document
    before: Document | None = None
    after: Document | None = None
    note: str = ""

    @property
    def key(self) -> str:
        return manifest.key(self.wanted)

    @property
    def does(self) -> bool:
        """Whether something is applied."""
        return self.kind in (Kind.new, Kind.changed)


def given(references: Iterable[str], takes: Collection[str], known: Collection[str]) -> tuple[list[str], list[str]]:
    """Return the images that an environment takes, and those that it does not: a release may have more than it runs.

    Raise UsageError for all at once that is no digest, that stands for no image here, or that is missing.
    """
    faults, taken, spared = [], dict[str, str](), []
    for reference in references:
        name = short_name(reference)
        if not BY_DIGEST.fullmatch(reference):
            faults.append(f"{reference}: an image is given as NAME@sha256:DIGEST, with 64 hexadecimal digits")
        elif name not in known:
            faults.append(f"{reference}: no image here is named {name}; there are: {', '.join(sorted(known))}")
        elif name not in takes:
            spared.append(reference)
        elif name in taken:
            faults.append(f"{reference}: {name} was given already: {taken[name]}")
        else:
            taken[name] = reference
    if missing := sorted(set(takes) - taken.keys()):
        faults.append(f"no image given for: {', '.join(missing)}")
    if faults:
        raise UsageError("\n".join(faults))
    return [*taken.values()], spared


def short_name(reference: str) -> str:
    return manifest.repository(reference).rpartition("/")[2]


def loose_images(objects: Iterable[Document]) -> list[str]:
    """Return the images that are not named by a digest: what they are may change from one pod to the next."""
    return sorted({image for obj in objects for image in manifest.images(obj) if "@sha256:" not in image})


def is_as_applied(change: Change) -> bool:
    """Whether what may not be changed need not be: it is there as it was applied from this very source."""
    return change.before is not None and manifest.source(change.before) == manifest.source(change.wanted)


def secrets(objects: Iterable[Document]) -> set[str]:
    """Return the names of the Secrets that pods cannot start without."""
    templates = [t for obj in objects if (t := manifest.pod_template(obj))]
    return {
        name.partition("/")[2]
        for template in templates
        for name in manifest.config_names(template["spec"])
        if name.startswith("secret/")
    }


def compared(wanted: Document, before: Document | None, after: Document) -> Change:
    if before is None:
        return Change(Kind.new, wanted, None, after)
    kind = Kind.same if shown(before) == shown(after) else Kind.changed
    return Change(kind, wanted, before, after)


def shown(obj: Document) -> Document:
    """Return an object without what a person would not compare: what the server writes, and our mark of the source."""
    new = {key: value for key, value in deepcopy(obj).items() if key != "status"}
    meta = {key: value for key, value in new["metadata"].items() if key not in THEIRS}
    annotations = {key: value for key, value in ours(meta).items() if key != manifest.SOURCE}
    meta.pop("annotations", None)
    new["metadata"] = {**meta, "annotations": annotations} if annotations else meta
    return new


def ours(meta: Mapping[str, Any]) -> dict[str, str]:
    return {k: v for k, v in (meta.get("annotations") or {}).items() if not k.startswith(THEIR_ANNOTATIONS)}


def difference(change: Change) -> str:
    """Return a change as a unified diff of YAML, or nothing."""
    if not change.does or change.after is None:
        return ""
    lines = unified_diff(
        text(change.before).splitlines(),
        text(change.after).splitlines(),
        f"{change.key} (in the cluster)" if change.before else "/dev/null",
        f"{change.key} (promoted)",
        lineterm="",
    )
    return "\n".join(lines)


def facts(changes: Iterable[Change]) -> list[dict[str, str]]:
    return [{"object": c.key, "change": c.kind, "diff": difference(c), "note": c.note} for c in changes]


def told(changes: Collection[Change]) -> str:
    """Return what a person reads before a promotion."""
    words = {Kind.runs: "runs anew", Kind.left: "left as it is", Kind.unseen: "not looked at"}
    lines = [difference(c) for c in changes if c.does]
    lines += [f"{c.key}: {words[c.kind]}{f' ({c.note})' if c.note else ''}" for c in changes if c.kind in words]
    same = sum(c.kind is Kind.same for c in changes)
    return "\n".join([*lines, f"{same} of {len(changes)} objects stay as they are"])


def text(obj: Document | None) -> str:
    import yaml

    return yaml.safe_dump(shown(obj), sort_keys=True, width=120) if obj else ""


def before_jobs(changes: Iterable[Change], jobs: Iterable[Document]) -> list[Change]:
    """Return what Jobs need that run before the rollout: what they read, and what is not there yet, such as their
    database. What runs an image of theirs is the application itself, which waits for them.
    """
    waiting = {image for job in jobs for image in manifest.images(job)}
    read = {name for job in jobs for name in manifest.config_names(job)}
    return [
        c
        for c in changes
        if c.does and (c.key in read or (c.kind is Kind.new and not manifest.images(c.wanted) & waiting))
    ]


def undone(change: Change) -> Document:
    """Return what to apply so that an object is again as it was.

    Server-side apply of the whole former object gives up every field that the promotion added. Replicas that the
    manifest does not name belong to an autoscaler.
    """
    assert change.before
    old = shown(change.before)
    meta = {**old["metadata"], "annotations": ours(change.before["metadata"])}
    again = {**old, "metadata": meta}
    if "replicas" not in change.wanted.get("spec", {}) and "replicas" in again.get("spec", {}):
        again["spec"] = {key: value for key, value in again["spec"].items() if key != "replicas"}
    return again
