"""Whether a workload's traffic arrives at the command that has its place: seen from this machine and the cluster."""

import socket
from collections.abc import Callable
from threading import Event, Thread

from devenv.cluster import kind
from devenv.commands.attach_place import Place
from devenv.kube.stand_in import Port

CONNECTS_WITHIN_S = 1.0
LOOK_S = 0.25
LOOKS = 4  # at a command that listens elsewhere, before it is told: it may have only begun


class Arrival:
    """Tells once of each port that traffic is on its way to the command, or why it cannot be."""

    def __init__(self, cluster: str, place: Place, log: Callable[[str], None]) -> None:
        self._cluster, self._place, self._log = cluster, place, log
        self._over = Event()

    def start(self) -> None:
        for port in self._place.ports:
            Thread(target=self._watch, args=(port,), daemon=True).start()

    def end(self) -> None:
        self._over.set()

    def _watch(self, port: Port) -> None:
        astray = 0
        while not self._over.wait(LOOK_S):
            if connects(self._place.address, port.local):
                self._tell(port)
                return
            astray += connects("127.0.0.1", port.local)
            if astray == LOOKS:
                self._log(
                    f"port {port.local} is listened on for this machine alone, which the cluster cannot reach\n"
                    f"hint: have the command listen on 0.0.0.0, or on {self._place.address}"
                )

    def _tell(self, port: Port) -> None:
        local = f"{port.local} → "
        led = ", ".join(one.removeprefix(local) for one in self._place.record.ports if one.startswith(local))
        if kind.reaches(self._cluster, self._place.address, port.local):
            self._log(f"traffic of {led} comes to port {port.local}")
        elif not self._over.is_set():
            self._log(
                f"the cluster does not reach {self._place.address}:{port.local}, which the command listens on\n"
                f"hint: a firewall of this machine may keep it from there"
            )


def connects(address: str, port: int) -> bool:
    try:
        socket.create_connection((address, port), CONNECTS_WITHIN_S).close()
    except OSError:
        return False
    return True
