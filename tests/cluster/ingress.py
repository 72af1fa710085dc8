"""The ingress of a scenario's cluster: its addresses, a backend that tells what reached it, certificates, Events."""

import json
import socket
import ssl
import subprocess
import time
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import httpx
import yaml

from tests.cluster.environment import CHECKOUT, Environment, node_address
from tests.cluster.objects import BACKENDS, NAMESPACE, Object, deployment, ingress_object, object_, secret, service
from tests.waiting import SOON_S, eventually

OWN = "ingress-nginx"
ADDRESSES = "jsonpath={.status.loadBalancer.ingress[*].ip}"
IMAGE = "registry.example.com/somatechlat/ingress:stable"


@dataclass
class Ingress:
    env: Environment
    folder: Path  # for certificates
    count: int = 0
    address: str = field(init=False)
    ports: dict[str, int] = field(init=False)

    def __post_init__(self) -> None:
        self.address = node_address(self.env.node)
        service = json.loads(self.env.kubectl("-n", OWN, "get", "service", "ingress-nginx-controller", "-o", "json"))
        self.ports = {p["name"]: p["nodePort"] for p in service["spec"]["ports"]}

    def ask(self, host: str, path: str = "/", tls: bool = False, method: str = "GET", **more: Any) -> httpx.Response:
        """Ask on a connection of its own; over TLS whatever the certificate is."""
        scheme, port = ("https", self.ports["https"]) if tls else ("http", self.ports["http"])
        headers = {"Host": host, **more.pop("headers", {})}
        with httpx.Client(verify=unverified(), timeout=SOON_S) as client:
            url = f"{scheme}://{self.address}:{port}{path}"
            return client.request(method, url, headers=headers, extensions={"sni_hostname": host}, **more)

    def reached(self, host: str, path: str = "/", **more: Any) -> str:
        """Return the name of the backend that answered or, where none did, the status."""
        answer = self.ask(host, path, **more)
        return str(answer.json()["service"]) if answer.status_code == 200 else str(answer.status_code)

    def certificate(self, host: str) -> bytes:
        """Return the certificate that is served for a host, as DER."""
        with self.handshake(host, unverified()) as connection:
            found = connection.getpeercert(binary_form=True)
        assert found
        return found

    def handshake(self, host: str, context: ssl.SSLContext) -> ssl.SSLSocket:
        plain = socket.create_connection((self.address, self.ports["https"]), timeout=SOON_S)
        return context.wrap_socket(plain, server_hostname=host)

    def make_certificate(self, name: str, host: str, *kind: str, days: int = 30) -> tuple[Path, Path]:
        """Make a self-signed certificate and return its file and that of its key."""
        chain, key, asked = (self.folder / f"{name}.{end}" for end in ("crt", "key", "csr"))
        kind = kind or ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256")
        names = ("-subj", f"/CN={name}", "-addext", f"subjectAltName=DNS:{host}")
        openssl("req", "-new", "-nodes", *kind, *names, "-keyout", str(key), "-out", str(asked))
        sign = ("-req", "-signkey", str(key), "-days", str(days), "-copy_extensions", "copyall")
        openssl("x509", *sign, "-in", str(asked), "-out", str(chain))
        return chain, key

    def put_secret(self, name: str, chain: Path, key: Path) -> bytes:
        """Make or replace a Secret of type kubernetes.io/tls, and return its certificate as DER."""
        self.apply(secret(name, "kubernetes.io/tls", {"tls.crt": chain.read_text(), "tls.key": key.read_text()}))
        return ssl.PEM_cert_to_DER_cert(chain.read_text())

    def apply(self, *objects: Object) -> None:
        kubectl(self.env, "apply", "--server-side", "--force-conflicts", "-f", "-", text=yaml.safe_dump_all(objects))

    def serve(self, *objects: Object) -> None:
        """Apply objects and wait until they are in effect.

        They are when an Ingress that came after them routes: the API server tells of one kind's changes in their order.
        For the tenth of a second in which nginx has both its old and its new workers, either may answer.
        """
        self.count += 1
        self.apply(*objects, ingress_object("marker", [f"marker{self.count}.test Prefix / s1"]))

        def everywhere() -> bool:
            time.sleep(0.05)
            try:
                return self.reached(f"marker{self.count}.test") == "s1"
            except httpx.TransportError:  # kube-proxy does not lead to a new pod yet
                return False

        eventually(lambda: all(everywhere() for _ in range(8)))

    def clear(self) -> None:
        """Remove the Ingresses and certificates in one request for each kind: 200 one by one take 39 s."""
        for group, kind in (("/apis/networking.k8s.io/v1", "ingresses"), ("/api/v1", "secrets")):
            self.env.kubectl("delete", "--raw", f"{group}/namespaces/{NAMESPACE}/{kind}")

    def delete(self, kind: str, name: str) -> None:
        self.env.kubectl("-n", NAMESPACE, "delete", kind, name)

    def told(self, kind: str, name: str, reason: str, *wanted: str) -> str:
        """Wait for Events of an object that hold all that is wanted, one at least, and return their messages."""
        selector = f"involvedObject.kind={kind},involvedObject.name={name},reason={reason}"

        def messages() -> str:
            found = self.env.objects("-n", NAMESPACE, "events", "--field-selector", selector)
            return "\n".join(e["message"] for e in found)

        eventually(lambda: (said := messages()) != "" and all(text in said for text in wanted))
        return messages()

    def given(self) -> str:
        """Return the address of our own Service, which has one then."""
        service = ("-n", OWN, "service", "ingress-nginx-controller")
        if not self.env.kubectl("get", *service, "-o", ADDRESSES):
            patch = f'{{"status": {{"loadBalancer": {{"ingress": [{{"ip": "{self.address}"}}]}}}}}}'
            self.env.kubectl("patch", *service, "--subresource=status", "--type=merge", "-p", patch)
        return self.env.kubectl("get", *service, "-o", ADDRESSES)

    def status(self, name: str) -> str:
        """Return the address at which an Ingress says that it is served."""
        return self.env.kubectl("-n", NAMESPACE, "get", "ingress", name, "-o", ADDRESSES)

    def metrics(self) -> dict[str, float]:
        """Return the controller's metrics by name and labels."""
        path = f"/api/v1/namespaces/{OWN}/pods/{self.pod()}:10254/proxy/metrics"
        lines = self.env.kubectl("get", "--raw", path).splitlines()
        return {name: float(value) for name, _, value in (x.rpartition(" ") for x in lines) if not name.startswith("#")}

    def pod(self) -> str:
        pods = self.env.objects("-n", OWN, "pods", "-l", "app=ingress-nginx")
        (living,) = (p for p in pods if not p["metadata"].get("deletionTimestamp"))
        return str(living["metadata"]["name"])


def installed(env: Environment, folder: Path) -> Ingress:
    """Return the ingress with its backends in place; installed as by hand where the stack has none yet."""
    if not env.kubectl("get", "deployments", "--all-namespaces", "-l", "app=ingress-nginx", "-o", "name"):
        env.fine("images", "load", "ingress")
        images = json.loads(env.fine("images", "list", "-o", "json"))
        (ref,) = (i["ref"] for i in images if i["name"] == "ingress")
        kubectl(env, "apply", "-f", "-", text=(CHECKOUT / "k8s/ingress.yaml").read_text().replace(IMAGE, ref))
    env.kubectl("-n", OWN, "rollout", "status", "deployment/ingress-nginx-controller", "--timeout=180s")
    ingress = Ingress(env, folder)
    script = (Path(__file__).parent / "echo.py").read_text()
    ingress.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}})
    ingress.apply(
        object_("v1", "ConfigMap", "echo", data={"echo.py": script}),
        deployment("echo", 2),
        service("none", 8009, {"app": "nobody"}),
        *(service(name, port, {"app": "echo"}) for name, port in BACKENDS.items()),
    )
    env.kubectl("-n", NAMESPACE, "rollout", "status", "deployment/echo", "--timeout=180s")
    return ingress


def kubectl(env: Environment, *args: str, text: str) -> None:
    argv = ["kubectl", "--kubeconfig", str(env.kubeconfig), *args]
    done = subprocess.run(argv, input=text, text=True, capture_output=True, check=False, env=env.variables)
    assert done.returncode == 0, done.stderr


def openssl(*args: str) -> None:
    subprocess.run(["openssl", *args], check=True, capture_output=True)


@cache
def unverified() -> ssl.SSLContext:
    """Return the one context that all share; whoever changes one makes one."""
    return make_unverified()


def make_unverified() -> ssl.SSLContext:
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context
