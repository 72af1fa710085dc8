"""The kinds that an API server serves, from the documents of its discovery. Pure.

Source: Kubernetes documentation, "Kubernetes API Concepts: API Discovery"; what client-go makes of them
(discovery/aggregated_discovery.go).
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote, urlencode

Document = Mapping[str, Any]

ROOTS = ("/api", "/apis")  # of the core group, and of all others
AGGREGATED = "APIGroupDiscoveryList"
# One document with all kinds where the server has it, else the plain one, which only names the groups.
ACCEPT = ",".join(
    (*(f"application/json;g=apidiscovery.k8s.io;v={v};as={AGGREGATED}" for v in ("v2", "v2beta1")), "application/json")
)


@dataclass(frozen=True, order=True)
class Kind:
    """A kind of objects, as the API server's discovery tells it."""

    api_version: str
    name: str
    namespaced: bool
    plural: str = ""  # what paths have of it
    verbs: tuple[str, ...] = ()

    @property
    def group(self) -> str:
        return self.api_version.rpartition("/")[0]

    @property
    def listable(self) -> bool:
        """Whether its objects can be listed and deleted."""
        return {"list", "delete"} <= {*self.verbs}

    def path(self, namespace: str | None = None, name: str = "", **query: str) -> str:
        """Return the path of its objects: in one namespace where one is given, and of one where that has a name."""
        root = f"/apis/{self.api_version}" if self.group else f"/api/{self.api_version}"
        place = ("namespaces", namespace) if self.namespaced and namespace else ()
        parts = (*place, self.plural, *((name,) if name else ()))
        asked = f"?{urlencode(query)}" if query else ""
        return "/".join((root, *(quote(part, safe="") for part in parts))) + asked


@dataclass(frozen=True)
class Version:
    """A group in one of its versions. Without kinds it was not told: its server is away, or what is known is old."""

    group: str
    name: str
    kinds: tuple[Kind, ...] | None = None

    @property
    def api_version(self) -> str:
        return f"{self.group}/{self.name}" if self.group else self.name

    @property
    def path(self) -> str:
        """The path of its own document."""
        return f"/apis/{self.api_version}" if self.group else f"/api/{self.api_version}"


@dataclass(frozen=True)
class Kinds:
    """All kinds of an API server, in all versions: those of a group in the order in which the server prefers them."""

    versions: tuple[Version, ...] = ()
    _known: Mapping[tuple[str, str], Kind] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        found: dict[tuple[str, str], Kind] = {}
        for kind in self:
            # Two resources may have one kind: its objects are in the one of which an object can be read.
            former = found.get((kind.api_version, kind.name))
            if former is None or ("get" in kind.verbs and "get" not in former.verbs):
                found[kind.api_version, kind.name] = kind
        object.__setattr__(self, "_known", found)

    def __iter__(self) -> Iterator[Kind]:
        return (kind for version in self.versions for kind in version.kinds or ())

    def find(self, api_version: str, name: str) -> Kind | None:
        return self._known.get((api_version, name))

    @property
    def listable(self) -> tuple[Kind, ...]:
        """Those whose objects can be listed and deleted, each in the version that the server prefers of those with it.

        So every object is in one list: all versions of a group show the same ones.
        """
        found: dict[tuple[str, str], Kind] = {}
        for kind in self._known.values():
            if kind.listable:
                found.setdefault((kind.group, kind.plural), kind)
        return tuple(sorted(found.values()))


def is_aggregated(document: Document) -> bool:
    return document.get("kind") == AGGREGATED


def versions(document: Document) -> Iterable[Version]:
    """Return the versions that a document of /api or /apis tells of; a plain one names them without their kinds."""
    if is_aggregated(document):
        return [v for group in document.get("items") or () for v in told(group)]
    if "groups" in document:
        return [v for group in document["groups"] or () for v in named(group)]
    return [Version("", name) for name in document.get("versions") or ()]


def told(group: Document) -> Iterator[Version]:
    """Yield the versions of a group of an aggregated document, which has the preferred one first.

    Of a stale one the API server tells what it knew before the group's own server went away.
    """
    name = str((group.get("metadata") or {}).get("name") or "")
    for version in group.get("versions") or ():
        seen, fresh = Version(name, str(version["version"])), version.get("freshness") != "Stale"
        kinds = (
            Kind(
                seen.api_version, resource["responseKind"]["kind"], resource.get("scope") == "Namespaced",
                resource["resource"], tuple(sorted(resource.get("verbs") or ())),
            )
            for resource in version.get("resources") or ()
            if (resource.get("responseKind") or {}).get("kind")  # without it, it only has subresources
        )  # fmt: skip
        yield Version(name, seen.name, tuple(kinds) if fresh else None)


def named(group: Document) -> list[Version]:
    """Return the versions of a group of a plain document, the preferred one first."""
    preferred = (group.get("preferredVersion") or {}).get("version")
    found = [Version(str(group["name"]), str(v["version"])) for v in group.get("versions") or ()]
    return sorted(found, key=lambda v: v.name != preferred)


def resources(document: Document, of: Version) -> Version:
    """Return a version with the kinds of its own plain document; what has a slash is a part of another resource."""
    kinds = (
        Kind(of.api_version, r["kind"], bool(r.get("namespaced")), r["name"], tuple(sorted(r.get("verbs") or ())))
        for r in document.get("resources") or ()
        if "/" not in r["name"]
    )
    return Version(of.group, of.name, tuple(kinds))
