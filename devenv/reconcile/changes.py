"""A promotion, decided: which images an environment takes, what would change and when, how it is undone. Pure."""

import re
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass, replace
from difflib import unified_diff
from enum import StrEnum
from typing import Any

from devenv.errors import UsageError
from devenv.images.reference import repository
from devenv.kube import verdict
from devenv.kube.objects import ENVIRONMENT, HOME, SOURCE, Document, Id, Object
from devenv.kube.readiness import Level

# An image by digest alone (reference grammar of distribution, with a registry or a path before the name).
BY_DIGEST = re.compile(r"[a-z0-9][-a-z0-9._:/]*/[a-z0-9][-a-z0-9._]*(:\w[-\w.]*)?@sha256:[0-9a-f]{64}")
# What the API server and its controllers write, not we.
THEIRS = ("managedFields", "resourceVersion", "uid", "generation", "creationTimestamp", "selfLink")
HIDDEN = "***"
THEIR_ANNOTATIONS = ("deployment.kubernetes.io/", "kubectl.kubernetes.io/last-applied-configuration")


class Kind(StrEnum):
    new = "new"
    changed = "changed"
    same = "same"
    runs = "runs"  # a Job: it is deleted and created again
    dropped = "dropped"  # applied for an earlier release, and not rendered any more
    pruned = "pruned"  # the same, and it is to go
    left = "left"  # these credentials may not change it
    unseen = "unseen"  # nor even look at it: it is an administrator's


@dataclass(frozen=True)
class Change:
    """What an object is to become: `before` is what is there, `after` what the API server would make of it."""

    kind: Kind
    wanted: Object
    before: Object | None = None
    after: Object | None = None
    note: str = ""

    @property
    def name(self) -> str:
        return str(self.wanted.id)

    @property
    def does(self) -> bool:
        """Whether something is applied."""
        return self.kind in (Kind.new, Kind.changed)


def select_images(
    references: Iterable[str], takes: Collection[str], known: Collection[str], registry: str | None = None
) -> tuple[list[str], list[str]]:
    """Return the images that an environment takes, and those that it does not: a release may have more than it runs.

    Raise UsageError for all at once that is no digest, that stands for no image here, that is not of the registry (its
    host, or a folder of it) where one is given, or that is missing.
    """
    faults, taken, ignored = [], dict[str, str](), []
    for reference in references:
        name = short_name(reference)
        if not BY_DIGEST.fullmatch(reference):
            faults.append(f"{reference}: an image is given as NAME@sha256:DIGEST, with 64 hexadecimal digits")
        elif name not in known:
            faults.append(f"{reference}: no image here is named {name}; there are: {', '.join(sorted(known))}")
        elif registry and not reference.startswith(f"{registry}/"):
            faults.append(f"{reference}: images of this environment come from {registry}")
        elif name not in takes:
            ignored.append(reference)
        elif name in taken:
            faults.append(f"{reference}: {name} was given already: {taken[name]}")
        else:
            taken[name] = reference
    if missing := sorted(set(takes) - taken.keys()):
        faults.append(f"no image given for: {', '.join(missing)}")
    if faults:
        raise UsageError("\n".join(faults))
    return [*taken.values()], ignored


def short_name(reference: str) -> str:
    return repository(reference).rpartition("/")[2]


def loose_images(objects: Iterable[Object]) -> list[str]:
    """Return the images that are not named by a digest: what they are may change from one pod to the next."""
    return sorted({image for obj in objects for image in obj.images if not BY_DIGEST.fullmatch(image)})


def unused_images(objects: Iterable[Object], taken: Iterable[str]) -> list[str]:
    """Return the images that were given and that nothing runs: what was rendered is another release."""
    return sorted({*taken} - {image for obj in objects for image in obj.images})


def is_as_applied(change: Change) -> bool:
    """Whether what may not be changed need not be: it is there as it was applied from this very source."""
    return change.before is not None and change.before.source == change.wanted.source


def is_theirs(change: Change) -> bool:
    """Whether something would be changed, or a Job deleted, that was not applied for this environment. A namespace is
    shared, and so is what lies in none: several environments have one priority class.
    """
    before, wanted = change.before, change.wanted
    if before is None or wanted.kind == "Namespace" or change.kind not in (Kind.changed, Kind.runs):
        return False
    marks = ({key: (o.meta.get("labels") or {}).get(key) for key in (ENVIRONMENT, HOME)} for o in (before, wanted))
    return not before.is_applied or (bool(wanted.id.namespace) and next(marks) != next(marks))


def secrets(objects: Iterable[Object]) -> list[Id]:
    """Return the Secrets that pods cannot start without, and that neither come with the release itself nor are made by
    an operator, of a custom resource of it.
    """
    release = [*objects]
    brought = {obj.id for obj in release}
    needed = {id_ for obj in release for id_ in obj.required if id_.kind == "Secret"} - brought
    makers = [obj for obj in release if obj.is_custom]
    return sorted(id_ for id_ in needed if not any(may_make(obj, id_) for obj in makers))


def may_make(custom: Object, secret: Id) -> bool:
    """Whether an operator may make a Secret of a custom resource: it has its name, its name with more behind it (such
    as CloudNativePG's NAME-app), or one that stands in its spec (cert-manager, External Secrets).
    """
    name = custom.id.name
    called = secret.name == name or secret.name.startswith(f"{name}-") or secret.name in texts(custom.raw.get("spec"))
    return called and custom.id.namespace == secret.namespace


def texts(value: Any) -> Iterator[str]:
    """Yield every text within a value."""
    items = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    for item in items:
        yield from (item,) if isinstance(item, str) else texts(item)


def job(wanted: Object, before: Object | None) -> Change:
    """Return whether a Job has to run: it does unless it has run to its end just as it is wanted."""
    if before and before.source == wanted.source and verdict.of("", before).level is Level.READY:
        return Change(Kind.same, wanted, before)
    return Change(Kind.runs, wanted, before)


def turns(changes: Iterable[Change], checks: Collection[str]) -> bool:
    """Return whether anything is applied or run, but the checks."""
    return any(c.does or (c.kind is Kind.runs and c.name not in checks) for c in changes)


def does(changes: Collection[Change], checks: Collection[str]) -> bool:
    """Return whether anything is to be done but to see that all is well."""
    return turns(changes, checks) or any(c.kind is Kind.pruned for c in changes)


def jobs_due(changes: Sequence[Change], checks: Collection[str]) -> list[Change]:
    """Return the changes, with each Job that is due because of the others: where anything is applied or runs, all run;
    the checks always do.
    """
    all_run = turns(changes, checks)
    due = [c.wanted.kind == "Job" and (all_run or c.name in checks) for c in changes]
    return [replace(c, kind=Kind.runs) if runs else c for c, runs in zip(changes, due, strict=True)]


def compared(wanted: Object, before: Object | None, after: Object) -> Change:
    if before is None:
        return Change(Kind.new, wanted, None, after)
    kind = Kind.same if shown(before.raw) == shown(after.raw) else Kind.changed
    return Change(kind, wanted, before, after)


def shown(obj: Document) -> Document:
    """Return an object without what a person would not compare: what the server writes, and our mark of the source."""
    new = {key: value for key, value in deepcopy(obj).items() if key != "status"}
    meta = {key: value for key, value in new["metadata"].items() if key not in THEIRS}
    annotations = {key: value for key, value in ours(meta).items() if key != SOURCE}
    meta.pop("annotations", None)
    new["metadata"] = {**meta, "annotations": annotations} if annotations else meta
    return new


def ours(meta: Mapping[str, Any]) -> dict[str, str]:
    return {k: v for k, v in (meta.get("annotations") or {}).items() if not k.startswith(THEIR_ANNOTATIONS)}


def masked(before: Document | None, after: Document | None) -> tuple[Document | None, Document | None]:
    """Return both sides of a change, a Secret's values hidden: equal ones, and such as differ, can be told apart."""
    if (before or after or {}).get("kind") != "Secret":
        return before, after
    old, new = ({} if side is None else values_of(side) for side in (before, after))
    return (
        before and hidden(before, {k: HIDDEN if new.get(k, v) == v else f"{HIDDEN} (before)" for k, v in old.items()}),
        after and hidden(after, {k: HIDDEN if old.get(k, v) == v else f"{HIDDEN} (after)" for k, v in new.items()}),
    )


def values_of(secret: Document) -> dict[str, Any]:
    return {**(secret.get("data") or {}), **(secret.get("stringData") or {})}


def hidden(secret: Document, values: Mapping[str, str]) -> Document:
    return {**{k: v for k, v in secret.items() if k != "stringData"}, "data": dict(values)}


def difference(change: Change, into: str = "promoted") -> str:
    """Return a change as a unified diff of YAML, or an empty string. No value of a Secret is in it."""
    if not change.does or change.after is None:
        return ""
    before, after = masked(shown(change.before.raw) if change.before else None, shown(change.after.raw))
    lines = unified_diff(
        text(before).splitlines(),
        text(after).splitlines(),
        f"{change.name} (in the cluster)" if change.before else "/dev/null",
        f"{change.name} ({into})",
        lineterm="",
    )
    return "\n".join(lines)


def as_json(changes: Iterable[Change]) -> list[dict[str, str]]:
    return [{"object": c.name, "change": c.kind, "diff": difference(c), "note": c.note} for c in changes]


def summary(changes: Collection[Change]) -> str:
    """Return what a person reads before a promotion."""
    words = {
        Kind.runs: "runs again",
        Kind.left: "left as it is",
        Kind.unseen: "not readable",
        Kind.dropped: "no longer rendered, and left; --prune removes it",
        Kind.pruned: "no longer rendered, and removed",
    }
    lines = [difference(c) for c in changes if c.does]
    lines += [f"{c.name}: {words[c.kind]}{f' ({c.note})' if c.note else ''}" for c in changes if c.kind in words]
    same = sum(c.kind is Kind.same for c in changes)
    return "\n".join([*lines, f"{same} of {len(changes)} objects stay as they are"])


def text(document: Document | None) -> str:
    import yaml

    return yaml.safe_dump(document, sort_keys=True, width=120) if document else ""
