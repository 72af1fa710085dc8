"""A client inside a cluster, where the policies let one in: fifty new connections a second, and what the API is for."""

import json
import time
from typing import Any, Self

from tests.cluster.foreign import Foreign

# What the client runs: each request on a connection of its own. Most ask what a pod answers by itself, and every tenth
# stores, evaluates or learns. Three nodes share few cores: now and then OPA was not heard in its 2 s there, which is a
# refusal with its own words, says nothing of a rollout, and is asked once more.
# A failure is a line, and now and then a count is one.
PROGRAM = """
import itertools, json, os, socket, threading, time, urllib.error, urllib.request
# Once: how fast a busy cluster's DNS answers is not what is asked here.
while True:
    try:
        api = socket.gethostbyname("somabrain")
        break
    except OSError:
        time.sleep(0.1)
ask = f"http://{api}:9696/healthz"
# Likewise, how soon a new pod's node knows the ways to the others.
while True:
    try:
        urllib.request.urlopen(ask, timeout=30).read()
        break
    except OSError:
        time.sleep(0.1)
WORK = [
    ("/remember", {"payload": {"task": "a release"}}),
    ("/context/evaluate", {"session_id": "s", "query": "release"}),
    ("/context/feedback", {"session_id": "s", "query": "q", "prompt": "p", "response_text": "r", "utility": 0.5}),
]
TOKEN = "Bearer " + os.environ["TOKEN"]
def request(number):
    if number % 10:
        return ask
    path, body = WORK[number // 10 % len(WORK)]
    headers = {"Authorization": TOKEN, "Content-Type": "application/json", "X-Model-Confidence": "1",
               "X-Tenant-ID": f"client-{number % 7}"}
    return urllib.request.Request(f"http://{api}:9696{path}", json.dumps(body).encode(), headers)
def told(number, again=True):
    try:
        with urllib.request.urlopen(request(number), timeout=30) as answer:
            answer.read()
    except urllib.error.HTTPError as error:
        text = error.read().decode()
        if again and "policy unavailable" in text:
            return told(number, again=False)
        return f"{error.code} {text}"
    except Exception as error:
        return repr(error)
began, turns, turn = time.monotonic(), itertools.count(), threading.Lock()
def work():
    while True:
        with turn:
            number = next(turns)
        time.sleep(max(0.0, began + number / 50 - time.monotonic()))
        if why := told(number):
            print("failed", number, round(time.monotonic() - began, 1), why, flush=True)
        if number % 50 == 0:
            print("sent", number, flush=True)
for _ in range(24):
    threading.Thread(target=work).start()
"""
SECRET = {"name": "somabrain-secrets", "key": "SOMABRAIN_API_TOKEN"}
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
            "env": [{"name": "TOKEN", "valueFrom": {"secretKeyRef": SECRET}}],
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
