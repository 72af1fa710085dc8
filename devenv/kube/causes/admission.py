"""Pods that the API server refuses: quota, Pod Security, a policy, a webhook that does not answer. Pure.

Sources: k8s.io/apiserver (admission plugins, webhook errors), k8s.io/pod-security-admission, apimachinery's quota.
"""

import re
from collections.abc import Iterator

from devenv.kube.causes.cause import Cause, kubectl, short, up_after
from devenv.kube.causes.facts import Facts
from devenv.kube.readiness import conditions
from devenv.kube.workloads import wanted_replicas

REFUSED = ("FailedCreate", "FailedUpdate", "ReplicaSetCreateError", "FailedCreatePodSandBox")
QUOTA = re.compile(
    r"exceeded quota: (?P<name>[^,]+), requested: (?P<asked>.+?), used: (?P<used>.+?), limited: (?P<limit>\S+)"
)
UNSAID = re.compile(r"failed quota: (?P<name>[^:]+): must specify (?P<what>.+)$")
SECURITY = re.compile(r'violates PodSecurity "(?P<level>[^"]+)": (?P<what>.+)$')
DENIED = re.compile(r'admission webhook "(?P<name>[^"]+)" denied the request(?:: (?P<why>.*))?$', re.DOTALL)
POLICY = re.compile(
    r"ValidatingAdmissionPolicy '(?P<name>[^']+)' with binding '[^']+' denied request: (?P<why>.*)$", re.DOTALL
)
AWAY = re.compile(r'failed calling webhook "(?P<name>[^"]+)": (?:failed to call webhook: )?(?P<why>.*)$', re.DOTALL)
LIMITS = re.compile(r"(?:maximum|minimum) (?:cpu|memory|storage)[^.]* usage per \S+ is .+$")
ACCOUNT = re.compile(
    r'error looking up service account (?P<space>[^/]+)/(?P<name>[^:]+): serviceaccount "[^"]+" not found'
)
PRIORITY = re.compile(r"no PriorityClass with name (?P<name>\S+) was found")


def refusals(facts: Facts) -> Iterator[str]:
    """Yield what the API server said of pods that it did not take, the newest first; not of former ones, once all
    are there.
    """
    for obj in (facts.between, facts.seen):
        if obj and (refused := conditions(obj).get("ReplicaFailure")):
            yield str(refused.get("message") or "")
    if facts.seen and len(facts.pods) < wanted_replicas(facts.seen):
        yield from facts.told(*REFUSED)


def of(facts: Facts) -> Cause | None:
    return next((cause for message in refusals(facts) if (cause := read(message, facts))), None)


def read(message: str, facts: Facts) -> Cause | None:
    """Return the cause that a refusal names, or None."""
    space = facts.part.namespace
    if m := QUOTA.search(message):
        text = f"quota {m['name']} lets no pod in: it asks for {m['asked']}; used are {m['used']} of {m['limit']}"
        return Cause("quota", text, kubectl(f"describe quota {m['name']}", space))
    if m := UNSAID.search(message):
        text = f"quota {m['name']} takes only containers that say {short(m['what'])}"
        return Cause("quota", text, up_after("set it under resources of the container"))
    if m := SECURITY.search(message):
        text = f"Pod Security {m['level']} forbids the pod: {short(m['what'])}"
        return Cause("pod-security", text, up_after("correct the securityContext"))
    if m := AWAY.search(message):
        return webhook(m["name"], m["why"])
    if (m := DENIED.search(message)) or (m := POLICY.search(message)):
        text = f"policy {m['name']} denies the pod: {short(m['why'] or 'it gives no reason')}"
        return Cause("policy", text, up_after("correct what the policy names"))
    if m := LIMITS.search(message):
        return Cause("limits", f"a LimitRange forbids the pod: {short(m[0])}", kubectl("describe limitrange", space))
    if m := ACCOUNT.search(message):
        text = f"its ServiceAccount {m['name']} is not in namespace {m['space']}"
        return Cause("service-account", text, up_after("add it, or correct serviceAccountName"))
    if m := PRIORITY.search(message):
        text = f"its PriorityClass {m['name'].rstrip('.,')} is not in the cluster"
        return Cause("priority-class", text, up_after("add it, or correct priorityClassName"))
    return None


def webhook(name: str, why: str) -> Cause:
    if re.search(r"certificate has expired|not yet valid", why):
        text = f"the certificate of webhook {name} has expired, so nothing that it guards is taken"
        return Cause(
            "certificate-expired", text, "kubectl get validatingwebhookconfigurations,mutatingwebhookconfigurations"
        )
    said = "has no pod that answers" if "no endpoints available" in why else f"does not answer: {short(why, 160)}"
    text = f"webhook {name} {said}, so nothing that it guards is taken"
    return Cause("webhook", text, "kubectl get validatingwebhookconfigurations,mutatingwebhookconfigurations")
