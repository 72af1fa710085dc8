"""Credentials that a program makes, or another file holds, for a user of a kubeconfig."""

import json
import time
from base64 import b64decode
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from devenv import apiserver, credentials
from devenv.credentials import CredentialsError


def program(folder: Path, script: str) -> dict[str, Any]:
    """Return a user whose credentials come from a shell script."""
    file = folder / "login"
    file.write_text(f"#!/bin/sh\n{script}\n")
    file.chmod(0o755)
    version = "client.authentication.k8s.io/v1"
    return {"exec": {"apiVersion": version, "command": str(file), "env": [{"name": "WHO", "value": "me"}]}}


def printing(status: dict[str, str]) -> str:
    return f"cat <<'END'\n{json.dumps({'kind': 'ExecCredential', 'status': status})}\nEND"


def test_a_program_s_token_is_used_until_a_little_before_its_end(tmp_path: Path) -> None:
    end = datetime(2030, 1, 1, tzinfo=UTC)
    user, until = credentials.resolved(
        program(tmp_path, printing({"token": "t1", "expirationTimestamp": "2030-01-01T00:00:00Z"}))
    )
    assert (user["token"], until) == ("t1", end.timestamp() - credentials.EARLY_S)


def test_credentials_whose_end_nobody_tells_are_made_anew_after_a_while(tmp_path: Path) -> None:
    before = time.time()
    for user in (program(tmp_path, printing({"token": "t1"})), {"tokenFile": str(tmp_path / "token")}):
        (tmp_path / "token").write_text("t1\n")
        found, until = credentials.resolved(user)
        assert found == {**user, "token": "t1"}
        assert before + credentials.UNTOLD_S <= until <= time.time() + credentials.UNTOLD_S
    assert credentials.resolved({"token": "t"}) == ({"token": "t"}, float("inf"))


def test_a_program_s_certificate_stands_where_a_kubeconfig_has_it(tmp_path: Path) -> None:
    user, _ = credentials.resolved(
        program(tmp_path, printing({"clientCertificateData": "CERT", "clientKeyData": "KEY"}))
    )
    assert b64decode(user["client-certificate-data"]) == b"CERT"
    assert b64decode(user["client-key-data"]) == b"KEY"


def test_a_program_is_told_what_is_wanted_and_has_its_own_variables(tmp_path: Path) -> None:
    kind = '$(printf %s "$KUBERNETES_EXEC_INFO" | grep -o ExecCredential)'
    made, _ = credentials.resolved(program(tmp_path, f'printf \'{{"status": {{"token": "%s-%s"}}}}\' "$WHO" "{kind}"'))
    assert made.items() >= {"token": "me-ExecCredential"}.items()


@pytest.mark.parametrize(
    ("script", "told"), [("echo no bread >&2; exit 3", "exited with 3: no bread"), ("echo {", "login: ")]
)
def test_a_program_that_fails_is_told(tmp_path: Path, script: str, told: str) -> None:
    with pytest.raises(CredentialsError, match=told):
        credentials.resolved(program(tmp_path, script))


def test_the_api_server_is_asked_with_the_program_s_token(tmp_path: Path) -> None:
    user = program(tmp_path, printing({"token": "t1"}))
    config = {
        "current-context": "c",
        "contexts": [{"name": "c", "context": {"cluster": "c", "user": "u"}}],
        "clusters": [{"name": "c", "cluster": {"server": "http://127.0.0.1:1"}}],
        "users": [{"name": "u", "user": user}],
    }
    (tmp_path / "kubeconfig").write_text(json.dumps(config))
    server = apiserver.read(tmp_path / "kubeconfig")
    assert server.headers == {"Authorization": "Bearer t1"}
    assert server.until < float("inf")
