"""The steps of a plan as data: what each does, why it is there, what it needs."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Act:
    """What a step does, as data; execute.py knows how."""


@dataclass(frozen=True)
class WriteEnvFile(Act):
    pass


@dataclass(frozen=True)
class ObtainImage(Act):
    image: str
    pull: bool
    anew: bool = False  # without what Docker kept of earlier builds


@dataclass(frozen=True)
class MakeCluster(Act):
    stopped: bool  # it is there and only has to be started


@dataclass(frozen=True)
class LoadImage(Act):
    image: str


@dataclass(frozen=True)
class ApplyObjects(Act):
    keys: tuple[str, ...]


@dataclass(frozen=True)
class RunJob(Act):
    key: str


@dataclass(frozen=True)
class AwaitReady(Act):
    key: str


@dataclass(frozen=True)
class DeleteObject(Act):
    key: str


@dataclass(frozen=True)
class StartForwards(Act):
    pass


@dataclass(frozen=True)
class AwaitForwards(Act):
    pass


@dataclass(frozen=True)
class IssueCertificate(Act):
    """Let the environment's own authority sign."""


@dataclass(frozen=True)
class DefineKinds(Act):
    """Apply the resource definitions that an image carries in /crds."""

    image: str


@dataclass(frozen=True)
class RequestCertificate(Act):
    """Ask an ACME authority; `anew` drops a request that has failed, which would not be repeated for an hour."""

    issuer: str
    certificate: str
    anew: bool


@dataclass(frozen=True)
class AwaitCertificate(Act):
    certificate: str


@dataclass(frozen=True)
class Step:
    name: str  # "image api"
    act: Act
    cause: str  # why it is in the plan: "3f9c… is not on the node"
    within_s: float  # how long it may take
    needs: tuple[str, ...] = ()  # names of steps; one that is not in the plan is already done
