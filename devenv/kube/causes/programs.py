"""What programs say of what they lack: names, answers, ports, certificates. Pure.

Sources: glibc's and musl's gai_strerror, Go's net package, Node's and Java's resolvers, libpq, OpenSSL, errno's texts.
"""

import re

from devenv.kube.causes.cause import Cause, kubectl, short, up_after
from devenv.kube.causes.facts import Facts, selected
from devenv.kube.causes.words import last_words
from devenv.kube.objects import Object
from devenv.kube.readiness import conditions, spec_of

# Of a container that runs, only what it has said last is of now.
OF_NOW = 30
NAME = r"[\"'“]?(?P<host>[A-Za-z0-9][A-Za-z0-9._-]*)[\"'”]?"
UNKNOWN = tuple(
    re.compile(pattern)
    for pattern in (
        rf"could not translate host name {NAME} to address",
        rf"failed to resolve host {NAME}",
        rf"getaddrinfo (?:ENOTFOUND|EAI_AGAIN) {NAME}",
        rf"lookup {NAME}(?: on \S+)?: (?:no such host|server misbehaving|i/o timeout)",
        rf"UnknownHostException: {NAME}",
        rf"[Cc]ould not resolve host:? {NAME}",
        rf"Failed to resolve {NAME}",
        rf"Name or service not known.*?{NAME}$",
        r"Name or service not known|Temporary failure in name resolution|nodename nor servname|bad address",
    )
)  # fmt: skip
TAKEN = re.compile(r"address already in use|EADDRINUSE|Address in use|port is already allocated", re.IGNORECASE)
PORT = re.compile(r"[:\s(,](?P<port>\d{2,5})\b(?!.*[:\s(,]\d{2,5}\b)")
EXPIRED = re.compile(
    r"certificate has expired|CERT_HAS_EXPIRED|certificate is expired|CertificateExpired|not yet valid", re.IGNORECASE
)
REFUSED = re.compile(r"connection refused|ECONNREFUSED|Connect call failed", re.IGNORECASE)
LATE = re.compile(r"timed? ?out|ETIMEDOUT|i/o timeout|deadline exceeded|no route to host|EHOSTUNREACH", re.IGNORECASE)


def recent(facts: Facts) -> tuple[str, ...]:
    runs = facts.spot is not None and facts.spot.runs and not facts.spot.previous
    return facts.lines[-OF_NOW:] if runs else facts.lines


def name_unknown(facts: Facts) -> Cause | None:
    """Return the host name that is not known: a Service that is not there, or the cluster's DNS."""
    for line in reversed(recent(facts)):
        if found := next((m for pattern in UNKNOWN if (m := pattern.search(line))), None):
            return unknown(found.groupdict().get("host") or "", line, facts)
    return None


def unknown(host: str, line: str, facts: Facts) -> Cause:
    name, _, rest = host.rstrip(".").partition(".")
    space = rest.partition(".")[0] if rest and (".svc" in f".{rest}" or "." not in rest) else facts.part.namespace
    there = [s.id.name for s in facts.around.services if s.id.namespace == space]
    if facts.around.dns and not any("Ready" in conditions(p) for p in facts.around.dns):
        text = f"the cluster's DNS is not ready, so {host or 'no name'} is not found"
        return Cause("dns", text, kubectl("get pods -l k8s-app=kube-dns", "kube-system"))
    if not host:
        return Cause("dns", f"a host name is not found: {short(line)}", f"devenv logs {facts.part} --tail 50")
    if name in there and (not rest or space):
        text = f"{host} is not found, though Service {name} is there: the pod may not reach the cluster's DNS"
        return Cause("dns", text, kubectl("get networkpolicies", facts.part.namespace))
    inside = not rest or ".svc" in f".{rest}"
    has = f"; there are: {', '.join(sorted(there))}" if there else ""
    text = f"{host} is not found: " + (f"namespace {space} has no Service {name}{has}" if inside else short(line))
    return Cause("dns", text, up_after("correct the name, or add the Service"))


def port_taken(facts: Facts) -> Cause | None:
    line = next((text for text in reversed(recent(facts)) if TAKEN.search(text)), "")
    if not line:
        return None
    port = PORT.search(line)
    text = f"port {port['port'] if port else ''} is taken in the pod".replace("  ", " ")
    return Cause("port-taken", f"{text}: {short(line.strip())}", up_after("give one of its containers another port"))


def expired(facts: Facts) -> Cause | None:
    line = next((text for text in reversed(recent(facts)) if EXPIRED.search(text)), "")
    return (
        Cause("certificate-expired", f"a certificate has expired: {short(line.strip())}", "devenv tls status")
        if line
        else None
    )


def no_answer(facts: Facts) -> Cause | None:
    """Return that a Service, which the last words name, has no pod that answers, or that a policy stands between."""
    lines = recent(facts)
    words = last_words(lines)
    line = next((t for t in (words, *reversed(lines)) if REFUSED.search(t) or LATE.search(t)), "")
    service = named(line, lines, facts) if line else None
    if service is None:
        return None
    pods = selected(facts.around.pods_in(service.id.namespace), spec_of(service).get("selector") or {})
    ready = [p for p in pods if "Ready" in conditions(p)]
    if not ready:
        why = "no pod has its labels" if not pods else "none of its pods is ready"
        return Cause(
            "no-endpoints",
            f"{service.id} does not answer, since {why}: {short(line.strip())}",
            f"devenv explain {service.id}",
            (service.id, *(p.id for p in pods)),
        )
    if LATE.search(line) and (policy := restricting(facts, pods)):
        text = f"{service.id} does not answer, and {policy.id} restricts what may reach what: {short(line.strip())}"
        return Cause("network-policy", text, kubectl(f"describe networkpolicy {policy.id.name}", policy.id.namespace))
    return None


def named(line: str, lines: tuple[str, ...], facts: Facts) -> Object | None:
    """Return the Service that a line names, by name or address; else one that another of the last lines does."""
    for text in (line, *reversed(lines[-5:])):
        for service in facts.around.services:
            address = str(spec_of(service).get("clusterIP") or "None")
            if re.search(rf"(?<![\w.-]){re.escape(service.id.name)}(?![\w-])", text) or (
                address != "None" and address in text
            ):
                return service
    return None


def restricting(facts: Facts, targets: list[Object]) -> Object | None:
    """Return a NetworkPolicy that selects the pod for what goes out, or its targets for what comes in."""
    for policy in facts.around.policies:
        spec = spec_of(policy)
        selector = spec.get("podSelector") or {}
        if selector.get("matchExpressions"):
            continue  # it is named for nothing that it may not select
        wanted = selector.get("matchLabels") or {}
        for kind, pods in (("Egress", [facts.pod] if facts.pod else []), ("Ingress", targets)):
            here = [p for p in pods if p.id.namespace == policy.id.namespace]
            if kind in (spec.get("policyTypes") or ()) and here and (not wanted or selected(here, wanted)):
                return policy
    return None
