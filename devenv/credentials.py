"""How the user of a kubeconfig is let in, where that does not stand in the file: by a program, or by another file."""

import json
import os
import subprocess
import time
from base64 import b64encode
from datetime import datetime
from pathlib import Path
from typing import Any

ANSWERS_WITHIN_S = 30.0
EARLY_S = 30.0  # before the end that is told: clocks differ
UNTOLD_S = 300.0  # how long credentials are taken for good whose end nobody tells

User = dict[str, Any]


class CredentialsError(OSError):
    """The program that makes the credentials did not."""


def resolved(user: User) -> tuple[User, float]:
    """Return the user with its credentials in it, and the epoch seconds at which they are to be made anew."""
    if run := user.get("exec"):
        status = dict(ask(run).get("status") or {})
        return {**user, **material(status)}, end(status)
    if path := user.get("tokenFile"):
        return {**user, "token": Path(path).read_text().strip()}, time.time() + UNTOLD_S
    return user, float("inf")


def material(status: dict[str, Any]) -> User:
    """Return what a program gave, as a kubeconfig would have it."""
    data = {"client-certificate-data": "clientCertificateData", "client-key-data": "clientKeyData"}
    certificate = {key: b64encode(status[name].encode()).decode() for key, name in data.items() if status.get(name)}
    return certificate | ({"token": status["token"]} if status.get("token") else {})


def end(status: dict[str, Any]) -> float:
    told = status.get("expirationTimestamp")
    return datetime.fromisoformat(told).timestamp() - EARLY_S if told else time.time() + UNTOLD_S


def ask(run: dict[str, Any]) -> dict[str, Any]:
    """Run the program and return its ExecCredential. Raise CredentialsError with its last words.

    Source: Kubernetes documentation, "Authenticating: client-go credential plugins", input and output formats.
    """
    asked = {"apiVersion": run["apiVersion"], "kind": "ExecCredential", "spec": {"interactive": False}}
    own = {pair["name"]: pair["value"] for pair in run.get("env") or ()}
    argv = [run["command"], *(run.get("args") or ())]
    try:
        done = subprocess.run(
            argv, env={**os.environ, **own, "KUBERNETES_EXEC_INFO": json.dumps(asked)}, stdin=subprocess.DEVNULL,
            capture_output=True, check=False, timeout=ANSWERS_WITHIN_S,
        )  # fmt: skip
        if done.returncode:
            raise CredentialsError(f"{argv[0]} exited with {done.returncode}: {done.stderr.decode()[-500:].strip()}")
        return dict(json.loads(done.stdout))
    except (subprocess.TimeoutExpired, ValueError) as error:
        raise CredentialsError(f"{argv[0]}: {error}") from error
