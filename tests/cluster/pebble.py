"""Let's Encrypt's own small ACME authority inside the cluster of a stack, with cert-manager to ask it."""

import json
import shutil
from base64 import b64encode
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import yaml

from devenv.certificates import x509
from devenv.system import state
from tests.cluster.environment import CHECKOUT, FIRST_UP_S, Environment
from tests.cluster.https import NAMESPACE
from tests.cluster.objects import Object
from tests.cluster.shared import Shared

NAME = "pebble.pebble.svc"
DIRECTORY = f"https://{NAME}:14000/dir"
MANIFEST = "k8s/overlays/dev/pebble.yaml"
# In the copied project: its image, and what runs it.
ADDED = (
    ("pyproject.toml", "[tool.devenv.forwards.api]", '[tool.devenv.images.pebble]\nbuild = "k8s/images/pebble"\n\n'),
    ("k8s/overlays/dev/kustomization.yaml", "patches:", "  - pebble.yaml\n"),
)


@dataclass(frozen=True)
class Pebble:
    stack: Environment
    authority: Path  # the CA bundle to verify Pebble's own certificate

    def issued(self) -> tuple[str, ...]:
        """Have the stack's certificate issued, and return the words that did."""
        words = ("tls", "up", "--issuer", DIRECTORY, "--ca-bundle", str(self.authority), "--timeout", "3m")
        # Pebble keeps its accounts in memory: the first request after its restart may meet one that it has forgotten.
        if self.stack.run(*words, within_s=FIRST_UP_S).returncode:
            self.stack.fine(*words)
        return words

    def restart(self, before: str, after: str) -> None:
        self.stack.edit(MANIFEST, before, after)
        self.stack.fine("up")

    def root(self) -> Path:
        """Return the file of the CA that what it issues is verified with."""
        root = self.authority.with_name("root.crt")
        management = "/api/v1/namespaces/pebble/services/https:pebble:15000/proxy"
        root.write_text(self.stack.kubectl("get", "--raw", f"{management}/roots/0"))
        return root

    def asked(self, host: str) -> list[str]:
        """Return the lines of the ingress's log in which Pebble asked a host for its challenge."""
        access = self.stack.kubectl(
            "-n", NAMESPACE, "logs", "deployment/ingress-nginx-controller", "-c", "nginx"
        ).splitlines()
        asked = [line for line in access if "LetsEncrypt-Pebble-VA" in line and "/.well-known/acme-challenge/" in line]
        return [line for line in asked if host in line]


def issuers(directory: str, authorities: bytes) -> list[Object]:
    """Return the issuers of k8s/cluster-issuers.yaml, with another ACME server in the place of Let's Encrypt."""
    found: list[Object] = list(yaml.safe_load_all((CHECKOUT / "k8s/cluster-issuers.yaml").read_text()))
    for one in found:
        one["spec"]["acme"] |= {"server": directory, "caBundle": b64encode(authorities).decode()}
    return found


@contextmanager
def running(shared: Shared, folder: Path, *hosts: str) -> Iterator[Pebble]:
    """Run Pebble in the stack's cluster, whose DNS leads these hosts to the ingress, and cert-manager."""
    shared.heal()
    stack = shared.env
    files = own_certificate(folder)
    stack.kubectl("create", "namespace", "pebble")
    stack.kubectl("-n", "pebble", "create", "secret", "tls", "pebble-tls", *files)
    source, target = CHECKOUT / "tests/projects/pebble", stack.root / "k8s/images/pebble"
    shutil.copytree(source / "image", target)
    (stack.root / MANIFEST).write_text((source / "pebble.yaml").read_text())
    for file, before, added in ADDED:
        stack.edit(file, before, added + before)
    resolve(stack, [f"rewrite name {host} ingress-nginx-controller.ingress-nginx.svc.cluster.local" for host in hosts])
    stack.fine("up", within_s=FIRST_UP_S)
    pebble = Pebble(stack, folder / "ca.crt")
    pebble.issued()  # which installs cert-manager
    shared.keep()
    yield pebble
    for file, before, added in ADDED:
        stack.edit(file, added + before, before)
    (stack.root / MANIFEST).unlink()
    shutil.rmtree(target)
    shared.keep()
    stack.kubectl("delete", "namespace", "pebble")
    stack.fine("up")


def own_certificate(folder: Path) -> tuple[str, str]:
    """Make Pebble's own certificate, and the authority that signs it; return kubectl's words for it."""
    now = datetime.now(UTC)
    root = x509.new_authority("pebble", NAME, now)
    own = x509.issue(root, NAME, now)
    for file, text in (("ca.crt", root.certificate), ("own.crt", own.certificate), ("own.key", own.key)):
        state.write(folder / file, text)
    return f"--cert={folder / 'own.crt'}", f"--key={folder / 'own.key'}"


def resolve(stack: Environment, lines: list[str]) -> None:
    """Teach the cluster's DNS where hosts are, as a public one would know."""
    found = json.loads(stack.kubectl("-n", "kube-system", "get", "configmap", "coredns", "-o", "json"))
    taught = "".join(f"    {line}\n" for line in lines)
    text = found["data"]["Corefile"].replace("    ready\n", f"    ready\n{taught}", 1)
    stack.kubectl("-n", "kube-system", "patch", "configmap", "coredns", "-p", json.dumps({"data": {"Corefile": text}}))
    stack.kubectl("-n", "kube-system", "rollout", "restart", "deployment/coredns")
    stack.kubectl("-n", "kube-system", "rollout", "status", "deployment/coredns")
