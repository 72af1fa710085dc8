"""The credentials of a kubeconfig's user: in the file itself, from a program, or in another file."""

import json
import os
import subprocess
import time
from base64 import b64encode
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

ANSWERS_WITHIN_S = 30.0
EARLY_S = 30.0  # before the expiry: clocks differ
UNKNOWN_EXPIRY_S = 300.0  # how long credentials without an expiry are used before they are renewed

SECRET_LENGTH = 6  # a shorter value is a word that messages need, such as a region's or a flag's

SUPPORTED = ("token", "client-certificate", "client-certificate-data")
UNSUPPORTED = ("auth-provider", "username")  # what came before exec; passwords, which Kubernetes 1.19 dropped

TEXTS = (
    *("cluster", "user", "server", "proxy-url", "tls-server-name", "token", "tokenFile", "as", "as-uid"),
    *("certificate-authority", "certificate-authority-data", "client-certificate", "client-certificate-data"),
    *("client-key", "client-key-data"),
)
TYPES: dict[str, type] = {**dict.fromkeys(TEXTS, str), "as-groups": list, "as-user-extra": dict, "exec": dict}
NAMES: dict[type, str] = {str: "text", list: "list", dict: "mapping"}

Entry = Mapping[str, Any]


class CredentialsError(OSError):
    """There are no usable credentials."""


@dataclass(frozen=True)
class User:
    """A user of a kubeconfig with its credentials, the epoch seconds at which they are to be renewed and expire."""

    entry: Entry
    renew_at: float = float("inf")
    expires_at: float = float("inf")

    @property
    def token(self) -> str:
        return str(self.entry.get("token") or "")

    @property
    def impersonation(self) -> tuple[tuple[str, str], ...]:
        """The headers that name the user this one acts as. Raise CredentialsError for what headers of ours cannot say.

        Source: Kubernetes documentation, "Authenticating: user impersonation".
        """
        if len(self.entry.get("as-groups") or ()) > 1 or self.entry.get("as-user-extra"):
            raise CredentialsError("impersonation with several groups or extra fields is not supported")
        named = {"as": "Impersonate-User", "as-uid": "Impersonate-Uid"}
        found = [(header, str(self.entry[key])) for key, header in named.items() if self.entry.get(key)]
        return (*found, *(("Impersonate-Group", str(group)) for group in self.entry.get("as-groups") or ()))


def misshapen(entry: Any) -> str:
    """Return which of the fields that we read of a kubeconfig is not of its type, or an empty string."""
    if not isinstance(entry, dict):
        return "is no mapping"
    wrong = (key for key, value in entry.items() if value is not None and not isinstance(value, TYPES.get(key, object)))
    if key := next(wrong, ""):
        return f"{key} is no {NAMES[TYPES[key]]}"
    if not (run := entry.get("exec")):
        return ""
    pairs = run.get("env") or []
    sound = isinstance(pairs, list) and all(isinstance(pair, dict) for pair in pairs)
    words = [run.get("command"), *(pair.get(key) for pair in pairs if sound for key in ("name", "value"))]
    if not (sound and is_texts(words) and is_texts(run.get("args") or [])):
        return "exec needs a command, and texts for its arguments and variables"
    return ""


def is_texts(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(item, str) for item in value)


def resolved(entry: Entry) -> User:
    """Return the user with its credentials in it. Raise CredentialsError where they are not to be had."""
    if run := entry.get("exec"):
        status = ask(run)
        return User({**entry, **material(run, status)}, *times(status.get("expirationTimestamp")))
    if path := entry.get("tokenFile"):
        return User({**entry, "token": Path(path).read_text().strip()}, *times(None))
    other = next((kind for kind in UNSUPPORTED if entry.get(kind)), None)
    if other and not any(entry.get(key) for key in SUPPORTED):  # never taken for anonymous access
        raise CredentialsError(f"credentials by {other} are not supported; use exec, a token or a certificate")
    return User(entry)


def material(run: Entry, status: Entry) -> dict[str, str]:
    """Return what a program gave, as a kubeconfig would have it."""
    data = {"client-certificate-data": "clientCertificateData", "client-key-data": "clientKeyData"}
    found = {key: b64encode(status[name].encode()).decode() for key, name in data.items() if status.get(name)}
    found |= {"token": str(status["token"])} if status.get("token") else {}
    if not found:
        raise CredentialsError(f"{run['command']} gave neither a token nor a certificate")
    return found


def times(expiry: str | None) -> tuple[float, float]:
    """Return when credentials are to be renewed, and when they expire."""
    if expiry is None:
        return time.time() + UNKNOWN_EXPIRY_S, float("inf")
    try:
        end = datetime.fromisoformat(expiry).timestamp()
    except ValueError as error:
        raise CredentialsError(f"expirationTimestamp of the credentials: {error}") from error
    return end - EARLY_S, end


def said(output: bytes, own: Mapping[str, str]) -> str:
    """Return the end of what a program wrote, without the values of variables that the kubeconfig gave it."""
    text = output.decode(errors="replace")
    for value in sorted(own.values(), key=len, reverse=True):
        if len(value) >= SECRET_LENGTH:
            text = text.replace(value, "***")
    return text[-500:].strip()


def ask(run: Entry) -> dict[str, Any]:
    """Run the program and return the status of its ExecCredential. Raise CredentialsError with its error output.

    Source: Kubernetes documentation, "Authenticating: client-go credential plugins", input and output formats.
    """
    asked = {"apiVersion": run.get("apiVersion"), "kind": "ExecCredential", "spec": {"interactive": False}}
    own = {pair["name"]: pair["value"] for pair in run.get("env") or ()}
    argv = [run["command"], *(run.get("args") or ())]
    try:
        done = subprocess.run(
            argv, env={**os.environ, **own, "KUBERNETES_EXEC_INFO": json.dumps(asked)}, stdin=subprocess.DEVNULL,
            capture_output=True, check=False, timeout=ANSWERS_WITHIN_S,
        )  # fmt: skip
    except (OSError, subprocess.TimeoutExpired) as error:
        raise CredentialsError(f"{argv[0]}: {error}") from error
    if done.returncode:
        raise CredentialsError(f"{argv[0]} exited with {done.returncode}: {said(done.stderr, own)}")
    try:
        answer = json.loads(done.stdout)
    except ValueError as error:
        raise CredentialsError(f"{argv[0]}: {error}") from error
    status = answer.get("status") if isinstance(answer, dict) else None
    return status if isinstance(status, dict) else {}
