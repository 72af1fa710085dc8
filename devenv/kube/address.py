"""Where an API server is, and which proxy leads there: one rule for commands and forwards."""

from collections.abc import Mapping
from dataclasses import dataclass
from ipaddress import ip_address, ip_network
from typing import Any
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

# Names of this machine: RFC 6761, and those that Docker Desktop gives to it.
LOCAL_NAMES = ("localhost", "kubernetes.docker.internal", "host.docker.internal")


class KubeconfigError(OSError):
    """A file is not a kubeconfig, or lacks what its current context names."""


@dataclass(frozen=True)
class Cluster:
    """Where an API server is."""

    url: str
    server_name: str = ""  # that its certificate is for, where that is not the URL's host
    proxy: str = ""  # http://[user:password@]host[:port], the kubeconfig's or the environment's


def cluster(entry: Mapping[str, Any]) -> Cluster:
    """Return the API server of a kubeconfig's entry. Raise KubeconfigError for what cannot be honoured."""
    if not entry.get("server"):
        raise KubeconfigError("not a kubeconfig: its cluster has no server")
    scheme, separator, rest = str(entry["server"]).rstrip("/").partition("://")
    # In capitals it is TLS all the same (RFC 3986, 3.1).
    url = f"{scheme.lower()}{separator}{rest}" if separator else scheme
    if "@" in urlsplit(checked(url, "server")).netloc:
        raise KubeconfigError("server: a user and a password in the address are not supported; name a user")
    proxy = checked(str(entry.get("proxy-url") or environments_proxy(url)), "proxy-url")
    if proxy and urlsplit(proxy).scheme != "http":
        raise KubeconfigError("proxy-url, HTTPS_PROXY: of proxies only http:// ones are supported")
    return Cluster(url, str(entry.get("tls-server-name") or ""), proxy)


def checked(url: str, key: str) -> str:
    """Return a URL whose parts can be read. It is not told: it may have a password."""
    try:
        _ = urlsplit(url).port
    except ValueError:
        raise KubeconfigError(f"{key}: no URL with a host and a port") from None
    return url


def environments_proxy(url: str) -> str:
    """Return the proxy to an API server that HTTPS_PROXY and NO_PROXY ask for: to this machine there is none."""
    parts = urlsplit(url)
    host, proxies = parts.hostname or "", getproxies()
    if is_local(url) or proxy_bypass(host) or in_networks(host, proxies.get("no", "")):
        return ""
    return proxies.get(parts.scheme, "")


def in_networks(host: str, networks: str) -> bool:
    """Whether NO_PROXY names a network that an address is in, as kubectl reads it."""
    try:
        return any(ip_address(host) in ip_network(n.strip(), strict=False) for n in networks.split(",") if "/" in n)
    except ValueError:
        return False


def is_local(address: str) -> bool:
    """Whether a URL or a name is one of this machine."""
    host = (urlsplit(address if "://" in address else f"//{address}").hostname or "").rstrip(".")
    try:
        found = ip_address(host)
    except ValueError:
        return host in LOCAL_NAMES or host.endswith(".localhost")
    return found.is_loopback or found.is_unspecified
