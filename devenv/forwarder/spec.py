"""What the forwards' process reads from its file and answers at its socket: the one module here that others import."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

CONNECTING, OPEN, HOLDING, LOST = "CONNECTING", "OPEN", "HOLDING", "LOST"  # states of a forward
# Words at the socket: end; look now whether the node was paused or goes on, and probe. Any other asks for the state.
STOP, LOOK = "stop", "look"
# Routes: `auto` is the node's where this host reaches it, else the API server's.
AUTO, NODE, API = "auto", "node", "api"


@dataclass(frozen=True)
class ForwardSpec:
    """A local port that is forwarded to the pods of a Service."""

    name: str
    local_port: int
    namespace: str = ""
    service: str = ""
    port_name: str = ""  # of the Service's port; empty where it has no name
    probe: str = "tcp"  # as in [tool.devenv.forwards]
    hold_s: float = 30.0  # how long a connection waits while no pod is ready
    node_port: int = 0  # of the node, for the same pods; 0 where there is none


@dataclass(frozen=True)
class ProcessSpec:
    """What one process serves, as it stands in its file."""

    hash: str
    node: str  # the container that the node ports belong to, or empty where the API server is the only route
    via: str  # AUTO, NODE or API
    forwards: tuple[ForwardSpec, ...]

    @classmethod
    def from_json(cls, text: str) -> "ProcessSpec":
        value = json.loads(text)
        return cls(value["hash"], value["node"], value["via"], tuple(ForwardSpec(**f) for f in value["forwards"]))

    def to_json(self) -> str:
        return json.dumps(asdict(self))


@dataclass(frozen=True, order=True)
class Pod:
    """An endpoint of a Service. `port` is that of the pod."""

    name: str
    uid: str
    address: str
    port: int
    ready: bool


@dataclass(frozen=True)
class ForwardStatus:
    """A forward as its process sees it now. What only a process knows is None where none runs."""

    name: str
    local_port: int
    namespace: str
    service: str
    probe: str
    hold_s: float
    state: str
    reason: str
    since: float | None = None  # epoch seconds
    route: str | None = None  # that the last connection took
    pods: tuple[Pod, ...] = field(default=())
    connections: int | None = None
    served: int | None = None
    refused: int | None = None
    sent: int | None = None  # bytes
    received: int | None = None
    last_error: str = ""

    @classmethod
    def of(cls, spec: ForwardSpec, state: str, reason: str, **more: Any) -> "ForwardStatus":
        fixed = (spec.name, spec.local_port, spec.namespace, spec.service, spec.probe, spec.hold_s)
        return cls(*fixed, state, reason, **more)

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> "ForwardStatus":
        return cls(**{**value, "pods": tuple(Pod(**pod) for pod in value["pods"])})

    def to_json(self) -> dict[str, Any]:
        return asdict(self)
