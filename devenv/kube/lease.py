"""One holder at a time, on whatever machine: a Lease of the cluster (coordination.k8s.io/v1), as client-go uses it."""

import os
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from time import monotonic, sleep
from uuid import uuid4

from devenv.errors import Conflict, DevenvError, Forbidden, NoSuchNamespace
from devenv.kube.api import Api
from devenv.kube.objects import Object

DURATION_S, RENEWED_EACH_S, LOOK_EACH_S = 30, 10.0, 1.0


@dataclass
class Lease:
    """A Lease as one process sees it. How old a holder's last word is, it tells by its own clock, as client-go does."""

    api: Api
    name: str
    holder: str
    seen: tuple[str, float] = field(default=("", 0.0))  # the version that was seen last, and when first

    def take(self) -> str:
        """Take it, or keep it; return who else has it, or an empty string."""
        found = self.api.get(self.object())
        if found is None:
            self.write(self.api.create, "")
            return ""
        spec, version = found.raw.get("spec") or {}, str(found.meta["resourceVersion"])
        other = str(spec.get("holderIdentity") or "")
        if version != self.seen[0]:
            self.seen = (version, monotonic())
        is_old = monotonic() - self.seen[1] >= float(spec.get("leaseDurationSeconds") or DURATION_S)
        if other and other != self.holder and not is_old:
            return other
        self.write(self.api.replace, version)
        return ""

    def write(self, how: Callable[[Object], Object], version: str) -> None:
        now = datetime.now(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")
        spec = {"holderIdentity": self.holder, "leaseDurationSeconds": DURATION_S, "renewTime": now}
        wanted = self.object()
        meta = {**wanted.meta, **({"resourceVersion": version} if version else {})}
        how(Object(wanted.id, {**wanted.raw, "metadata": meta, "spec": spec}))

    def release(self) -> None:
        found = self.api.get(self.object())
        if found and (found.raw.get("spec") or {}).get("holderIdentity") == self.holder:
            self.api.delete(found, exactly=True)

    def object(self) -> Object:
        meta = {"name": self.name, "namespace": self.api.namespace}
        raw = {"apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "metadata": meta}
        return Object.parse(raw, self.api.namespace)


@contextmanager
def held(api: Api, name: str, doing: str, log: Callable[[str], None]) -> Iterator[None]:
    """Hold a Lease of the environment's namespace; wait, and say for whom, while another holds it.

    One whose holder has not renewed it for its duration is free. A namespace that is not there yet has no other user.
    """
    lease = Lease(api, name, f"`{doing}` on {socket.gethostname()} (process {os.getpid()}, {uuid4().hex[:8]})")
    try:
        waited_for(lease, log)
    except NoSuchNamespace:
        yield
        return
    except Forbidden as error:
        log(f"cannot tell whether another promotion is under way: {error}")
        yield
        return
    ended = threading.Event()
    renewing = threading.Thread(target=renewed, args=(lease, ended), daemon=True)
    renewing.start()
    try:
        yield
    finally:
        ended.set()
        renewing.join()
        with suppress(DevenvError):  # it ends by itself
            lease.release()


def waited_for(lease: Lease, log: Callable[[str], None]) -> None:
    told = ""
    while True:
        with suppress(Conflict):  # another was quicker
            if not (other := lease.take()):
                return
            if other != told:
                log(f"waiting for {other} to end")
                told = other
        sleep(LOOK_EACH_S)


def renewed(lease: Lease, ended: threading.Event) -> None:
    while not ended.wait(RENEWED_EACH_S):
        with suppress(DevenvError):  # the next time
            lease.take()
