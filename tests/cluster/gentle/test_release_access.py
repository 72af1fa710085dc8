"""What a release job may do: it is itself to the cluster by tokens that live for minutes, and deploys."""

import json
import os
import subprocess
import threading
from base64 import b64decode
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest
import yaml

from tests.cluster.environment import CHECKOUT, Environment

NAMESPACE = "somabrain-prod"
GROUP = f"system:serviceaccounts:{NAMESPACE}"
MAY = {
    "patch deployments.apps": "yes",
    "create jobs.batch": "yes",
    "patch networkpolicies.networking.k8s.io": "yes",
    "get pods/log": "yes",
    "get secrets": "no",
    "create pods/exec": "no",
    "create pods": "no",
    "create rolebindings.rbac.authorization.k8s.io": "no",
    "delete persistentvolumeclaims": "no",
    "patch namespaces": "no",
}


@pytest.fixture
def issuer(stack: Environment) -> Iterator[str]:
    """An address that gives out the cluster's own tokens in the way in which GitHub gives its jobs theirs."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            audience = parse_qs(urlsplit(self.path).query).get("audience", [""])[0]
            known = self.headers["Authorization"] == "bearer of-the-job"
            self.send_response(200 if known else 401)
            self.end_headers()
            if known:
                words = ("create", "token", "default", "--audience", audience, "--duration", "10m")
                self.wfile.write(json.dumps({"value": stack.kubectl("-n", NAMESPACE, *words).strip()}).encode())

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/?api-version=2.0"
        server.shutdown()


def variables(stack: Environment, issuer: str, file: Path, word: str = "of-the-job") -> dict[str, str]:
    """Return what GitHub, and the settings of the repository, tell every step of the job."""
    config = yaml.safe_load(stack.kubeconfig.read_text())["clusters"][0]["cluster"]
    authority = stack.kubectl(
        "config", "view", "--raw", "-o", "jsonpath={.clusters[0].cluster.certificate-authority-data}"
    )
    return {
        **os.environ,
        "ACTIONS_ID_TOKEN_REQUEST_URL": issuer,
        "ACTIONS_ID_TOKEN_REQUEST_TOKEN": word,
        "CLUSTER_URL": config["server"],
        "CLUSTER_CA": b64decode(authority).decode(),
        "CLUSTER_AUDIENCE": "https://kubernetes.default.svc.cluster.local",
        "KUBECONFIG": str(file),
    }


def as_job(job: dict[str, str]) -> "subprocess.CompletedProcess[str]":
    argv = [str(CHECKOUT / "scripts/ci_kubeconfig.sh")]
    return subprocess.run(argv, env=job, text=True, capture_output=True, check=False)


def kubectl(job: dict[str, str], *words: str) -> str:
    argv = ["kubectl", "-n", NAMESPACE, *words]
    return subprocess.run(argv, env=job, text=True, capture_output=True, check=False).stdout.strip()


def test_a_job_is_known_to_the_cluster_by_its_token_alone(stack: Environment, issuer: str, tmp_path: Path) -> None:
    file = tmp_path / "kubeconfig"
    job = variables(stack, issuer, file)
    done = as_job(job)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert file.stat().st_mode & 0o777 == 0o600
    name = kubectl(job, "auth", "whoami", "-o", "jsonpath={.status.userInfo.username}")
    assert name == f"system:serviceaccount:{NAMESPACE}:default"
    assert kubectl(job, "auth", "can-i", "get", "pods") == "no"


def test_without_a_token_no_file_is_written(stack: Environment, issuer: str, tmp_path: Path) -> None:
    done = as_job(variables(stack, issuer, tmp_path / "kubeconfig", word="of another"))
    assert done.returncode != 0
    assert "401" in done.stderr
    assert not (tmp_path / "kubeconfig").exists()


def test_a_deployer_changes_workloads_and_can_neither_get_a_secret_nor_enter_a_pod(
    stack: Environment, issuer: str, tmp_path: Path
) -> None:
    job = variables(stack, issuer, tmp_path / "kubeconfig")
    assert as_job(job).returncode == 0
    access = tmp_path / "access.yaml"
    text = (CHECKOUT / "k8s/components/released/access.yaml").read_text()
    assert "name: somabrain:deployers" in text
    access.write_text(text.replace("name: somabrain:deployers", f"name: {GROUP}"))
    stack.kubectl("-n", NAMESPACE, "apply", "-f", str(access))
    try:
        assert {what: kubectl(job, "auth", "can-i", *what.split()) for what in MAY} == MAY
    finally:
        stack.kubectl("-n", NAMESPACE, "delete", "-f", str(access))
