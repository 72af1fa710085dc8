"""A client inside a cluster, where the policies let one in: fifty new connections a second to the API."""

import json
import time
from typing import Any, Self

from tests.cluster.foreign import Foreign

# What the client runs: each request on a connection of its own, for what a pod answers by itself. Three nodes share few
# cores: now and then OPA was not heard in its 2 s there, which is a refusal, and says nothing of a rollout.
# A failure is a line, and now and then a count is one.
PROGRAM = """
import itertools, socket, threading, time, urllib.request
# Once: how fast a busy cluster's DNS answers is not what is asked here.
while True:
    try:
        api = socket.gethostbyname("somabrain")
        break
    except OSError:
        time.sleep(0.1)
ask = f"http://{api}:9696/healthz"
began, turns, turn = time.monotonic(), itertools.count(), threading.Lock()
def work():
    while True:
        with turn:
            number = next(turns)
        time.sleep(max(0.0, began + number / 50 - time.monotonic()))
        try:
            with urllib.request.urlopen(ask, timeout=30) as answer:
                answer.read()
        except Exception as error:
            print("failed", number, round(time.monotonic() - began, 1), repr(error), flush=True)
        if number % 50 == 0:
            print("sent", number, flush=True)
for _ in range(24):
    threading.Thread(target=work).start()
"""
STARTED_WITHIN_S = 120


class Client:
    """Asks from entering to leaving; `failures` is what went wrong, `sent` how many requests there were about."""

    def __init__(self, foreign: Foreign, namespace: str, image: str, node: str | None = None) -> None:
        self.foreign, self.namespace, self.image, self.node = foreign, namespace, image, node
        self.sent, self.failures = 0, list[str]()

    def pod(self) -> dict[str, Any]:
        secure = {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}, "readOnlyRootFilesystem": True}
        bounds = {"cpu": "1", "memory": "256Mi"}
        container = {
            "name": "client", "image": self.image, "command": ["python3", "-c", PROGRAM], "securityContext": secure,
            "resources": {"requests": {"cpu": "50m", "memory": "64Mi"}, "limits": bounds},
        }  # fmt: skip
        user = {"runAsNonRoot": True, "runAsUser": 10001, "seccompProfile": {"type": "RuntimeDefault"}}
        spec: dict[str, Any] = {"containers": [container], "securityContext": user, "terminationGracePeriodSeconds": 0}
        if self.node:
            spec["nodeName"] = self.node
        # The policies let the health check ask.
        meta = {"name": "client", "labels": {"app": "somabrain-health-check"}}
        return {"apiVersion": "v1", "kind": "Pod", "metadata": meta, "spec": spec}

    def lines(self) -> list[str]:
        return self.foreign.kubectl("-n", self.namespace, "logs", "client").splitlines()

    def __enter__(self) -> Self:
        self.foreign.kubectl("-n", self.namespace, "apply", "-f", "-", stdin=json.dumps(self.pod()))
        wait = ("wait", "--for=condition=Ready", "pod/client", f"--timeout={STARTED_WITHIN_S}s")
        self.foreign.kubectl("-n", self.namespace, *wait)
        end = time.monotonic() + STARTED_WITHIN_S
        while not any(line.startswith("sent") for line in self.lines()) and time.monotonic() < end:
            time.sleep(0.2)
        return self

    def __exit__(self, *_: object) -> None:
        lines = self.lines()
        self.foreign.kubectl("-n", self.namespace, "delete", "pod", "client", "--wait=true")
        self.failures = [line for line in lines if line.startswith("failed")]
        self.sent = max((int(line.split()[1]) for line in lines if line.startswith("sent")), default=0)
