"""The one reader of kubeconfigs: where the API server is, and the credentials that it accepts.

The forwards' process reads with it too, so that it imports nothing of the rest, and YAML only where it is needed.
"""

import socket
import ssl
import time
from base64 import b64decode, b64encode
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from urllib.parse import unquote, urlsplit

from devenv.kube import credentials, yaml_fault
from devenv.kube.address import Cluster, KubeconfigError, cluster

# The kernel asks a silent peer after 5 s, and breaks the connection where two questions got no answer: after 15 s.
KEEP_ALIVE = (
    (socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1),
    (socket.IPPROTO_TCP, getattr(socket, "TCP_KEEPIDLE", getattr(socket, "TCP_KEEPALIVE", 0)), 5),  # macOS's name
    (socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, 5),
    (socket.IPPROTO_TCP, socket.TCP_KEEPCNT, 2),
)


@dataclass(frozen=True)
class Access:
    """An API server, and credentials for it until they expire."""

    cluster: Cluster
    tls: ssl.SSLContext | None = None
    token: str = ""
    impersonation: tuple[tuple[str, str], ...] = ()  # headers that name the user we act as
    renew_at: float = float("inf")  # epoch seconds at which it is to be read again
    expires_at: float = float("inf")  # and from which it is of no use

    @property
    def url(self) -> str:
        return self.cluster.url

    @property
    def host(self) -> str:
        return urlsplit(self.url).hostname or ""

    @property
    def port(self) -> int:
        return urlsplit(self.url).port or (443 if self.tls else 80)

    @property
    def reached_at(self) -> tuple[str, int]:
        """The host and the port that a connection is made to: the proxy's, or the API server's own."""
        proxy = urlsplit(self.cluster.proxy)
        return (proxy.hostname or "", proxy.port or 80) if self.cluster.proxy else (self.host, self.port)

    @property
    def proxy_headers(self) -> dict[str, str]:
        """What lets us through the proxy."""
        proxy = urlsplit(self.cluster.proxy)
        if proxy.username is None:
            return {}
        pair = f"{unquote(proxy.username)}:{unquote(proxy.password or '')}"
        return {"Proxy-Authorization": f"Basic {b64encode(pair.encode()).decode()}"}

    @property
    def server_name(self) -> str:
        """The name that the API server's certificate has to be for."""
        return self.cluster.server_name or self.host

    @property
    def path(self) -> str:
        """What stands before every path of the API, as behind Rancher."""
        return urlsplit(self.url).path

    @property
    def headers(self) -> dict[str, str]:
        return ({"Authorization": f"Bearer {self.token}"} if self.token else {}) | dict(self.impersonation)

    @property
    def is_due(self) -> bool:
        return time.time() >= self.renew_at

    @property
    def has_expired(self) -> bool:
        return time.time() >= self.expires_at


def parse(text: str) -> dict[str, Any]:
    """Return a kubeconfig's document. Raise KubeconfigError if it is none."""
    import yaml

    try:
        config = yaml.safe_load(text)
    except yaml.YAMLError as error:
        line, problem = yaml_fault.told(error)
        raise KubeconfigError(f"not a kubeconfig: line {line}: {problem}") from error
    if not isinstance(config, dict):
        raise KubeconfigError("not a kubeconfig: it has no fields")
    return config


def cluster_of(config: Mapping[str, Any]) -> Cluster:
    """Return the API server of a kubeconfig's current context."""
    return cluster(entry(config, "cluster"))


def read(kubeconfig: Path) -> Access:
    """Return the access by a kubeconfig's current context. Raise OSError where there is none: KubeconfigError,
    CredentialsError, or what the system says of a file.

    A program that makes credentials is run, which may take its time.
    """
    config = parse(kubeconfig.read_text())
    cluster, user = cluster_of(config), credentials.resolved(entry(config, "user"))
    tls = context(entry(config, "cluster"), user) if cluster.url.startswith("https") else None
    return Access(cluster, tls, user.token, user.impersonation, user.renew_at, user.expires_at)


def context(cluster: Mapping[str, Any], user: credentials.User) -> ssl.SSLContext:
    """Return the TLS of a connection; the ssl module wants certificates as files."""
    with TemporaryDirectory() as folder:
        authority = material(cluster, "certificate-authority", Path(folder))
        tls = ssl.create_default_context(cafile=authority)
        if cluster.get("insecure-skip-tls-verify"):
            tls.check_hostname, tls.verify_mode = False, ssl.CERT_NONE
        if certificate := material(user.entry, "client-certificate", Path(folder)):
            tls.load_cert_chain(certificate, material(user.entry, "client-key", Path(folder)))
    return tls


def entry(config: Mapping[str, Any], kind: str) -> dict[str, Any]:
    """Return the cluster or the user of a kubeconfig's current context; a context need not have a user."""
    chosen = named(config, "context", config.get("current-context"))
    return {} if kind == "user" and not chosen.get(kind) else named(config, kind, chosen.get(kind))


def named(config: Mapping[str, Any], kind: str, name: str | None) -> dict[str, Any]:
    entries = config.get(f"{kind}s") or []
    for one in entries if isinstance(entries, list) else ():
        if isinstance(one, dict) and one.get("name") == name:
            found = one.get(kind) or {}
            if wrong := credentials.misshapen(found):
                raise KubeconfigError(f"not a kubeconfig: {kind} {name}: {wrong}")
            return dict(found)
    raise KubeconfigError(f"not a kubeconfig: it has no {kind} {name}")


def material(entry: Mapping[str, Any], key: str, folder: Path) -> str | None:
    """Return the path of a certificate or key, which a kubeconfig names or carries."""
    if data := entry.get(f"{key}-data"):
        file = folder / key
        file.touch(0o600)
        try:
            file.write_bytes(b64decode(data))
        except ValueError as error:
            raise KubeconfigError(f"not a kubeconfig: {key}-data: {error}") from error
        return str(file)
    path = entry.get(key)
    return str(path) if path else None
