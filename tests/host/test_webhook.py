"""A project with a kind of its own, and a webhook that guards it: what `up` and `down` do while that answers or not."""

import json
from base64 import b64encode
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import yaml

from devenv.certificates import x509
from tests.cluster.environment import CHECKOUT, MARK, Environment, copied, free_ports
from tests.cluster.foreign import Foreign, flags
from tests.waiting import eventually

HOME, HOST = "hello", "operator.hello.svc"
GROUP = "webhook.tests.example.com"
LABELS = {"app": "operator"}
# Takes what is red, and lets everything go.
CODE = """
import json, ssl
from http.server import BaseHTTPRequestHandler, HTTPServer


class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.end_headers()

    def do_POST(self):
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))["request"]
        red = (asked.get("object") or {}).get("spec", {}).get("colour") == "red"
        said = {"uid": asked["uid"], "allowed": red or asked["operation"] == "DELETE"}
        if not said["allowed"]:
            said["status"] = {"message": "only red is taken here"}
        review = {"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "response": said}
        body = json.dumps(review).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


server = HTTPServer(("", 8443), Handler)
context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
context.load_cert_chain("/tls/tls.crt", "/tls/tls.key")
server.socket = context.wrap_socket(server.socket, server_side=True)
server.serve_forever()
"""


def document(version: str, kind: str, name: str, **content: Any) -> dict[str, Any]:
    return {"apiVersion": version, "kind": kind, "metadata": {"name": name}, **content}


def definition() -> dict[str, Any]:
    schema = {"openAPIV3Schema": {"type": "object", "x-kubernetes-preserve-unknown-fields": True}}
    spec = {
        "group": GROUP,
        "scope": "Namespaced",
        "names": {"kind": "Thing", "plural": "things"},
        "versions": [{"name": "v1", "served": True, "storage": True, "schema": schema}],
    }
    return document("apiextensions.k8s.io/v1", "CustomResourceDefinition", f"things.{GROUP}", spec=spec)


def operator() -> list[dict[str, Any]]:
    """Return the workload that answers for the webhook, with what it needs, and the webhook."""
    now = datetime.now(UTC)
    authority = x509.new_authority("operator", HOST, now)
    pair = x509.issue(authority, HOST, now)
    container = {
        "name": "operator",
        "image": "operator",
        "command": ["python3", "/code/webhook.py"],
        "ports": [{"containerPort": 8443}],
        "readinessProbe": {"httpGet": {"path": "/", "port": 8443, "scheme": "HTTPS"}, "periodSeconds": 1},
        "volumeMounts": [{"name": name, "mountPath": f"/{name}"} for name in ("code", "tls")],
    }
    volumes = [
        {"name": "code", "configMap": {"name": "operator"}},
        {"name": "tls", "secret": {"secretName": "operator"}},
    ]
    pod = {"terminationGracePeriodSeconds": 0, "containers": [container], "volumes": volumes}
    template = {"metadata": {"labels": LABELS}, "spec": pod}
    spec = {"replicas": 1, "selector": {"matchLabels": LABELS}, "template": template}
    service = {"selector": LABELS, "ports": [{"port": 443, "targetPort": 8443}]}
    tls = {"tls.crt": pair.certificate, "tls.key": pair.key}
    hook = {
        "name": f"colour.{GROUP}",
        "clientConfig": {
            "service": {"name": "operator", "namespace": HOME},
            "caBundle": b64encode(authority.certificate.encode()).decode(),
        },
        "rules": [
            {
                "apiGroups": [GROUP],
                "apiVersions": ["*"],
                "resources": ["things"],
                "operations": ["CREATE", "UPDATE", "DELETE"],
            }
        ],
        "failurePolicy": "Fail",
        "sideEffects": "None",
        "admissionReviewVersions": ["v1"],
    }
    return [
        document("v1", "ConfigMap", "operator", data={"webhook.py": CODE}),
        document("v1", "Secret", "operator", type="kubernetes.io/tls", stringData=tls),
        document("v1", "Service", "operator", spec=service),
        document("apps/v1", "Deployment", "operator", spec=spec),
        document("admissionregistration.k8s.io/v1", "ValidatingWebhookConfiguration", f"a.{GROUP}", webhooks=[hook]),
    ]


def things(env: Environment, **colours: str) -> None:
    """Write the objects that the webhook guards: first in the folder, and so in what is read."""
    found = [document(f"{GROUP}/v1", "Thing", name, spec={"colour": colour}) for name, colour in colours.items()]
    (env.root / "k8s/a-things.yaml").write_text(yaml.safe_dump_all(found))


@pytest.fixture
def guarded(foreign: Foreign, tmp_path: Path) -> Iterator[Environment]:
    """The hello project with an operator, to be brought up on somebody's cluster."""
    root = copied(CHECKOUT / "tests/projects/hello", tmp_path, ("pyproject.toml", "app", "k8s"))
    (root / "operator").mkdir()
    (root / "operator/Dockerfile").write_text("FROM devenv.local/base\nRUN install-packages python3\nUSER 1000\n")
    (root / "k8s/operator.yaml").write_text(yaml.safe_dump_all([*operator(), definition()]))
    extra = {"KUBECONFIG": str(foreign.kubeconfig)}
    env = Environment(f"t{MARK}-hook", root, {"web": free_ports(6)[5]}, extra=extra)
    env.edit(
        "pyproject.toml",
        "[tool.devenv.images.hello]",
        '[tool.devenv.images.operator]\nbuild = "operator"\n\n[tool.devenv.images.hello]',
    )
    things(env, one="red")
    yield env
    foreign.kubectl("delete", "validatingwebhookconfiguration", f"a.{GROUP}", "--ignore-not-found")
    env.fine("down", "--yes", *flags(foreign))
    foreign.kubectl("delete", "crd", f"things.{GROUP}", "--ignore-not-found")


def colours(foreign: Foreign) -> dict[str, str]:
    found = json.loads(foreign.kubectl("-n", HOME, "get", f"things.{GROUP}", "-o", "json"))["items"]
    return {thing["metadata"]["name"]: thing["spec"]["colour"] for thing in found}


def pods(foreign: Foreign) -> str:
    return foreign.kubectl("-n", HOME, "get", "pods", "-l", "app=operator", "-o", "name")


def test_a_webhook_comes_before_what_it_guards_is_heard_and_holds_nothing_up_when_it_is_gone(
    foreign: Foreign, guarded: Environment
) -> None:
    here = flags(foreign)
    guarded.fine("up", *here)
    assert guarded.plan(*here) == ""
    assert colours(foreign) == {"one": "red"}

    things(guarded, one="red", two="blue")
    refused = guarded.run("up", *here)
    assert refused.returncode == 1
    assert "denied the request: only red is taken here" in refused.stderr
    things(guarded, one="blue")  # one that is there
    assert "its source changed" in guarded.fine("plan", *here)
    assert "denied the request: only red is taken here" in guarded.run("up", *here).stderr
    assert colours(foreign) == {"one": "red"}

    # Its webhook stands between an object and its change, and is brought back first.
    things(guarded, one="red", two="red")
    foreign.kubectl("-n", HOME, "scale", "deployment/operator", "--replicas=0")
    eventually(lambda: pods(foreign) == "")
    steps = [line.partition(":")[0] for line in guarded.fine("plan", *here).splitlines()]
    assert steps.index("ready deployment/operator") < steps.index("guarded objects")
    guarded.fine("up", *here)
    assert colours(foreign) == {"one": "red", "two": "red"}

    # What the manifests drop goes, an object before the webhook's workload and after the webhook.
    (guarded.root / "k8s/a-things.yaml").unlink()
    (guarded.root / "k8s/operator.yaml").unlink()
    guarded.edit("pyproject.toml", '[tool.devenv.images.operator]\nbuild = "operator"\n\n', "")
    guarded.fine("up", "--yes", *here)
    assert foreign.kubectl("get", "validatingwebhookconfigurations", "-o", "name").count(GROUP) == 0
    assert colours(foreign) == {}


@pytest.mark.parametrize("gone", [False, True], ids=["answers", "is gone"])
def test_down_removes_what_a_webhook_guards_whether_that_answers_or_not(
    foreign: Foreign, guarded: Environment, gone: bool
) -> None:
    here = flags(foreign)
    guarded.fine("up", *here)
    if gone:
        foreign.kubectl("-n", HOME, "delete", "deployment/operator", "--wait")
        eventually(lambda: pods(foreign) == "")
    guarded.fine("down", "--yes", *here)
    assert foreign.kubectl("get", "validatingwebhookconfigurations", "-o", "name").count(GROUP) == 0
    assert foreign.kubectl("get", "namespace", HOME, "--ignore-not-found") == ""
