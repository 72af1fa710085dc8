"""Steady traffic through the ingress, so that a request that fails is seen."""

import http.client
import threading
import time
from itertools import count

from tests.cluster.ingress import Ingress, unverified
from tests.waiting import SOON_S


class Traffic:
    """So many HTTPS requests a second, each on a connection of its own, until the block ends."""

    def __init__(self, ingress: Ingress, host: str, path: str, each_second: int) -> None:
        self.ingress, self.host, self.path, self.pause = ingress, host, path, 1 / each_second
        self.sent, self.failures = 0, list[str]()
        self.ended = threading.Event()
        self.turns, self.turn = count(), threading.Lock()
        self.threads = [threading.Thread(target=self.work) for _ in range(24)]

    def __enter__(self) -> "Traffic":
        self.began = time.monotonic()
        for thread in self.threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.ended.set()
        for thread in self.threads:
            thread.join()

    def work(self) -> None:
        while True:
            with self.turn:
                due = self.began + next(self.turns) * self.pause
            if self.ended.wait(max(0.0, due - time.monotonic())):
                return
            if failure := self.once():
                self.failures.append(failure)
            self.sent += 1

    def once(self) -> str:
        at = f"after {time.monotonic() - self.began:.1f} s: "
        try:
            connection = http.client.HTTPConnection(self.ingress.address, timeout=SOON_S)
            connection.sock = self.ingress.handshake(self.host, unverified())
            connection.request("GET", self.path, headers={"Host": self.host, "Connection": "close"})
            answer = connection.getresponse()
            answer.read()
            connection.close()
            return "" if answer.status == 200 else f"{at}{answer.status}"
        except (OSError, http.client.HTTPException) as error:
            return f"{at}{error!r}"
