"""The cause of what is not ready, by documents in the shape of Kubernetes' own, with what each rule is to say."""

# ruff: noqa: E501  a table has a line for each case, and messages are as long as Kubernetes writes them

import json
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from devenv.kube import steadiness
from devenv.kube.causes import chain, order, rules
from devenv.kube.causes.facts import Facts, spot_of
from devenv.kube.causes.words import last_words
from devenv.kube.objects import Object
from devenv.kube.readiness import Level
from tests import broken
from tests.causes import (
    BACK_OFF,
    HOME,
    NAME,
    RUNS,
    claim,
    container,
    deployment,
    ended,
    event,
    facts,
    head,
    job,
    node,
    parsed,
    pod,
    replica_set,
    service,
    status,
    storage_class,
    unscheduled,
    waiting,
)

WEB, JOB = (
    deployment(),
    job(
        {
            "type": "Failed",
            "status": "True",
            "reason": "BackoffLimitExceeded",
            "message": "Job has reached the specified backoff limit",
        }
    ),
)
TRACE = 'Traceback (most recent call last):\n  File "/app/main.py", line 3, in <module>\n    raise ValueError("no bread")\nValueError: no bread'
CRASH = status(BACK_OFF, ended(1), 2)
NO_ROOM = "preemption: 0/1 nodes are available: 1 Preemption is not helpful for scheduling."
LOST_REVISION = "  File \"/x.py\", line 1\nalembic.util.exc.CommandError: Can't locate revision identified by '0009'\nFAILED: Can't locate revision identified by '0009'"
MIGRATION = """INFO  [alembic.runtime.migration] Context impl PostgresqlImpl.
INFO  [alembic.runtime.migration] Running upgrade 0003 -> 0004, places
Traceback (most recent call last):
  File "/site-packages/sqlalchemy/engine/base.py", line 1964, in _exec_single_context
psycopg.errors.DuplicateTable: relation "places" already exists

The above exception was the direct cause of the following exception:

Traceback (most recent call last):
  File "/app/migrate.py", line 9, in <module>
sqlalchemy.exc.ProgrammingError: (psycopg.errors.DuplicateTable) relation "places" already exists
[SQL:
CREATE TABLE places (
	id SERIAL NOT NULL
)

]
(Background on this error at: https://sqlalche.me/e/20/f405)"""
OPA = '{"decision_id":"4ca6","input":{"method":"DELETE","tenant":"a"},"level":"info","msg":"Decision Log","path":"shop/authz/allow","result":false}'
QUOTA = 'pods "web-6c9f7d5b8-x2x7p" is forbidden: exceeded quota: small, requested: limits.memory=64Mi, used: limits.memory=100Mi, limited: limits.memory=128Mi'
SECURITY = 'pods "web-6c9f7d5b8-5m9xk" is forbidden: violates PodSecurity "restricted:latest": allowPrivilegeEscalation != false (container "web" must set securityContext.allowPrivilegeEscalation=false)'
HOOK = 'Internal error occurred: failed calling webhook "check.example.com": failed to call webhook: Post "https://check.shop.svc:443/pods?timeout=10s": dial tcp 10.96.4.4:443: connect: connection refused'
GATEKEEPER = (
    'admission webhook "validation.gatekeeper.sh" denied the request: [need-owner] you must provide labels: {"owner"}'
)
VAP = "pods \"web-1\" is forbidden: ValidatingAdmissionPolicy 'no-latest' with binding 'no-latest' denied request: image tags must not be latest"


def refused(message: str) -> Facts:
    failure = {"type": "ReplicaFailure", "status": "True", "reason": "FailedCreate", "message": message}
    return facts(WEB, sets=(replica_set(conditions=[failure]),))


def probed(which: str, why: str, probe: dict[str, Any], **known: Any) -> Facts:
    """Return a container that runs while a probe of it fails."""
    asked: dict[str, Any] = {f"{which.lower()}Probe": probe}
    spec = {"containers": [container(ports=[{"containerPort": 8080, "name": "http", "protocol": "TCP"}], **asked)]}
    told = (event("Unhealthy", f"{which} probe failed: {why}"),)
    return facts(WEB, pod(status(RUNS), spec=spec), events=told, **known)


def mounting(message: str, **more: Any) -> Facts:
    spec = {"volumes": [{"name": "settings", "configMap": {"name": "settings"}}]}
    return facts(
        WEB,
        pod(status(waiting("ContainerCreating")), spec=spec, phase="Pending"),
        events=(event("FailedMount", message),),
        **more,
    )


def using(name: str, *claims: Object, **more: Any) -> Facts:
    spec = {"volumes": [{"name": "v", "persistentVolumeClaim": {"claimName": name}}]}
    message = f"0/1 nodes are available: pod has unbound immediate PersistentVolumeClaims. {NO_ROOM}"
    return facts(WEB, unscheduled(message, spec), claims=claims, **more)


def pulling(message: str, reason: str = "ImagePullBackOff", image: str = "shop/web:1", **more: Any) -> Facts:
    seen = pod(status(waiting(reason, message)), spec={"containers": [container(image=image)]}, phase="Pending")
    return facts(WEB, seen, **more)


def initial(state: dict[str, object], last: dict[str, object] | None = None, restarts: int = 0, log: str = "") -> Facts:
    """Return a pod whose init container is at this."""
    spec = {"initContainers": [container("copy")], "containers": [container()]}
    seen = status(state, last, restarts, name="copy")
    waits = status(waiting("PodInitializing"))
    return facts(WEB, pod(waits, spec=spec, phase="Pending", initContainerStatuses=[seen]), log=log)


GET = {
    "httpGet": {"path": "/ready", "port": 9999, "scheme": "HTTP"},
    "periodSeconds": 10,
    "failureThreshold": 3,
    "timeoutSeconds": 1,
}
ON_8080 = {**GET, "httpGet": {"path": "/ready", "port": "http", "scheme": "HTTP"}}
TIMES_OUT = (
    'Get "http://10.244.0.7:8080/ready": context deadline exceeded (Client.Timeout exceeded while awaiting headers)'
)
READY_POD = pod(status(RUNS, ready=True), conditions=[{"type": "Ready", "status": "True"}])
DNS_DOWN = parsed({**head("v1", "Pod", "coredns-1", namespace="kube-system"), "status": {"conditions": []}})
EGRESS = parsed(
    {**head("networking.k8s.io/v1", "NetworkPolicy", "closed"), "spec": {"podSelector": {}, "policyTypes": ["Egress"]}}
)
OTHERS = parsed(
    {
        **EGRESS.raw,
        "spec": {
            "podSelector": {"matchExpressions": [{"key": "app", "operator": "Exists"}]},
            "policyTypes": ["Egress"],
        },
    }
)
DB = pod(status(RUNS, ready=True), conditions=[{"type": "Ready", "status": "True"}])
DB = parsed(
    {
        **DB.raw,
        "metadata": {**DB.meta, "name": "db-0", "uid": "uid-db-0", "labels": {"app": "db"}, "ownerReferences": []},
    }
)
LIMITED = {"containers": [container(resources={"limits": {"memory": "32Mi"}})]}

CASES: dict[str, tuple[Facts, str, str, str]] = {
    # Images.
    "an image that its registry has not": (
        pulling(
            'Back-off pulling image "shop/web:1": ErrImagePull: rpc error: code = NotFound desc = failed to pull and unpack image "docker.io/shop/web:1": failed to resolve reference "docker.io/shop/web:1": docker.io/shop/web:1: not found'
        ),
        "image-missing",
        "image shop/web:1 of container web cannot be pulled: its registry has no such image or tag",
        "correct image",
    ),
    "a registry whose name is not known": (
        pulling(
            'failed to do request: Head "https://registry.invalid/v2/web/manifests/1": dial tcp: lookup registry.invalid on 172.24.0.1:53: no such host'
        ),
        "image-missing",
        "the name of its registry is not known",
        "devenv up",
    ),
    "a registry that asks for a login": (
        pulling(
            "pull access denied, repository does not exist or may require authorization: server message: insufficient_scope: authorization failed",
            "ErrImagePull",
        ),
        "image-missing",
        "asks for a login, or has no such image",
        "devenv up",
    ),
    "a pull whose reason only an event tells": (
        pulling(
            'Back-off pulling image "shop/web:1"',
            events=(
                event(
                    "Failed",
                    'Failed to pull image "shop/web:1": rpc error: code = Unknown desc = dial tcp 10.0.0.1:443: i/o timeout',
                ),
            ),
        ),
        "image-missing",
        "its registry does not answer",
        "devenv up",
    ),
    "an image that may not be pulled": (
        pulling('Container image "shop/web:1" is not present with pull policy of Never', "ErrImageNeverPull"),
        "image-missing",
        "is not on the node",
        "imagePullPolicy",
    ),
    "an image of the project that is not loaded": (
        pulling("not found", image="devenv.local/web:0123456789abcdef"),
        "image-missing",
        "is not on the node",
        "devenv up",
    ),
    "a name that no image has": (
        pulling('Failed to apply default image tag "shop/Web:1": couldn\'t parse image name', "InvalidImageName"),
        "image-missing",
        "is no name of an image",
        "correct image",
    ),
    "no image for the node's processor": (
        pulling("rpc error: no match for platform in manifest: not found", nodes=(node(architecture="arm64"),)),
        "wrong-architecture",
        "another processor than that of a node of arm64",
        "platform",
    ),
    "a program for another processor": (
        facts(WEB, pod(CRASH), log="exec /app/web: exec format error"),
        "wrong-architecture",
        "made for another processor",
        "platform",
    ),
    "a command that is not in the image": (
        facts(
            WEB,
            pod(
                status(
                    waiting(
                        "RunContainerError",
                        'failed to create containerd task: runc create failed: exec: "sevre": executable file not found in $PATH: unknown',
                    ),
                    ended(128, "StartError", message='exec: "sevre": executable file not found in $PATH: unknown'),
                    1,
                )
            ),
        ),
        "no-program",
        "container web cannot start sevre: executable file not found in $PATH",
        "correct command",
    ),
    # Crashes.
    "a crash with Python's exception": (
        facts(WEB, pod(CRASH), log=f"starting\n{TRACE}"),
        "crash",
        "container web crashes with exit code 1, 2 restarts so far: ValueError: no bread",
        "devenv logs deployment/web",
    ),
    "a crash that has not been repeated yet": (
        facts(WEB, pod(status({"terminated": ended(3)})), log="no bread"),
        "crash",
        "container web crashed with exit code 3: no bread",
        "devenv logs",
    ),
    "a crash of which nothing is said": (
        facts(WEB, pod(status(BACK_OFF, ended(139), 3))),
        "crash",
        "it was ended by SIGSEGV, and has said nothing",
        "devenv logs",
    ),
    "a command that the shell does not find": (
        facts(WEB, pod(status(BACK_OFF, ended(127), 3))),
        "crash",
        "its shell does not find the command",
        "devenv logs",
    ),
    "what a container has left as its message": (
        facts(WEB, pod(status(BACK_OFF, ended(1, message=TRACE), 3))),
        "crash",
        "ValueError: no bread",
        "devenv logs",
    ),
    "a server that ends by itself": (
        facts(WEB, pod(status(BACK_OFF, ended(0, "Completed"), 3), spec={})),
        "ends",
        "ends by itself, with exit code 0",
        "foreground",
    ),
    "a Job whose pod failed": (
        facts(JOB, pod(status({"terminated": ended(1)}), phase="Failed", owner="Job"), log=TRACE),
        "crash",
        "container web failed with exit code 1: ValueError: no bread",
        "devenv logs job/web",
    ),
    "too little memory": (
        facts(WEB, pod(status(BACK_OFF, ended(137, "OOMKilled"), 2), spec=LIMITED)),
        "out-of-memory",
        "container web was killed for want of memory: its limit is 32Mi, 2 times so far",
        "limits.memory",
    ),
    "a liveness probe that ends it": (
        facts(
            WEB,
            pod(
                status(BACK_OFF, ended(137), 2),
                spec={"containers": [container(livenessProbe={**GET, "initialDelaySeconds": 1, "periodSeconds": 2})]},
            ),
            events=(
                event("Unhealthy", f"Liveness probe failed: {TIMES_OUT}"),
                event("Killing", "Container web failed liveness probe, will be restarted", type_="Normal"),
            ),
            log="serving",
        ),
        "probe",
        "is ended by its liveness probe, which fails within 7 s of its start",
        "more time",
    ),
    "a crash of before, and a run that is answered badly": (
        facts(
            WEB,
            pod(status(RUNS, ended(1), 1), spec={"containers": [container(readinessProbe=ON_8080)]}),
            events=(event("Unhealthy", f"Readiness probe failed: {TIMES_OUT}", second=5),),
            log=TRACE,
        ),
        "probe-strict",
        "is not answered within its timeoutSeconds",
        "raise timeoutSeconds",
    ),
    "a crash of before, and a run that nothing is known of": (
        facts(WEB, pod(status(RUNS, ended(1), 1), spec={"containers": [container(readinessProbe=ON_8080)]}), log=TRACE),
        "crash",
        "ValueError: no bread",
        "devenv logs",
    ),
    "a probe that failed in the run before": (
        facts(
            WEB,
            pod(status(RUNS, ended(1), 1), spec={"containers": [container(readinessProbe=ON_8080)]}),
            events=(
                {**event("Unhealthy", f"Readiness probe failed: {TIMES_OUT}"), "lastTimestamp": "2026-01-01T09:59:59Z"},
            ),
            log=TRACE,
        ),
        "crash",
        "ValueError: no bread",
        "devenv logs",
    ),
    # Init containers.
    "an init container that fails": (
        initial(BACK_OFF, ended(1), 2, TRACE),
        "init-failed",
        "init container copy crashes with exit code 1, 2 restarts so far: ValueError: no bread",
        "devenv logs",
    ),
    "an init container that goes on": (
        initial(RUNS, log="waiting for the store"),
        "init-waits",
        "init container copy has not ended yet, and all else waits for it: waiting for the store",
        "devenv logs",
    ),
    # Probes.
    "a probe on the wrong port": (
        probed(
            "Readiness",
            'Get "http://10.244.0.7:9999/ready": dial tcp 10.244.0.7:9999: connect: connection refused',
            GET,
        ),
        "probe-port",
        "the readiness probe of container web asks port 9999, where nothing listens; it has port 8080",
        "readinessProbe",
    ),
    "a probe that nothing listens to": (
        probed(
            "Readiness",
            'Get "http://10.244.0.7:8080/ready": dial tcp 10.244.0.7:8080: connect: connection refused',
            ON_8080,
        ),
        "probe-port",
        "finds nothing that listens on port 8080",
        "devenv logs",
    ),
    "a probe that is too strict": (
        probed("Readiness", TIMES_OUT, ON_8080),
        "probe-strict",
        "is not answered within its timeoutSeconds of 1 s",
        "raise timeoutSeconds",
    ),
    "a probe of a path that is not there": (
        probed("Readiness", "HTTP probe failed with statuscode: 404", ON_8080),
        "probe-path",
        "there is nothing at this path",
        "correct the path",
    ),
    "a program that says that it is not ready": (
        probed("Readiness", "HTTP probe failed with statuscode: 503", ON_8080, answer='{"alerts": ["redis"]}'),
        "unready",
        'answered 503, so the program itself says that it is not ready: {"alerts": ["redis"]}',
        "devenv logs",
    ),
    "a program whose schema is not its own": (
        probed(
            "Readiness",
            "HTTP probe failed with statuscode: 503",
            ON_8080,
            answer='{"ready": false, "alerts": ["schema"]}',
        ),
        "database-schema",
        "the database's schema is not the one that the image needs",
        "devenv plan",
    ),
    "a program that lacks another and lives with a later schema": (
        probed(
            "Readiness",
            "HTTP probe failed with statuscode: 503",
            ON_8080,
            answer='{"alerts": ["schema-ahead", "redis"]}',
        ),
        "unready",
        "schema-ahead",
        "devenv logs",
    ),
    "a command that fails as a probe": (
        probed("Startup", "psql: error: no server", {"exec": {"command": ["pg_isready"]}}),
        "probe",
        "the startup probe of container web (pg_isready) fails: psql: error: no server",
        "devenv logs",
    ),
    "a probe that was not answered yet": (
        facts(WEB, pod(status(RUNS), spec={"containers": [container(readinessProbe=GET)]})),
        "starting",
        "has not been answered yet",
        "devenv wait",
    ),
    # Nodes.
    "no room on a node": (
        facts(WEB, unscheduled(f"0/1 nodes are available: 1 Insufficient memory. {NO_ROOM}")),
        "too-big",
        "no node has enough memory",
        "lower requests",
    ),
    "no node with such labels": (
        facts(
            WEB, unscheduled(f"0/1 nodes are available: 1 node(s) didn't match Pod's node affinity/selector. {NO_ROOM}")
        ),
        "no-node",
        "no node has the labels",
        "show-labels",
    ),
    "a port of the node that is taken": (
        facts(
            WEB,
            unscheduled(
                f"0/1 nodes are available: 1 node(s) didn't have free ports for the requested pod ports. {NO_ROOM}",
                {"containers": [container(ports=[{"containerPort": 80, "hostPort": 8080}])]},
            ),
        ),
        "port-taken",
        "is taken (hostPort 8080)",
        "kubectl get pods",
    ),
    "a node whose disk is full": (
        facts(
            WEB,
            unscheduled(
                f"0/1 nodes are available: 1 node(s) had untolerated taint {{node.kubernetes.io/disk-pressure: }}. {NO_ROOM}"
            ),
            nodes=(node("DiskPressure"),),
        ),
        "node-pressure",
        "node node-1 takes no pods: its disk is full",
        "describe nodes",
    ),
    "a node that is cordoned": (
        facts(
            WEB,
            unscheduled(
                f"0/1 nodes are available: 1 node(s) had untolerated taint(s) {{node.kubernetes.io/unschedulable: }}. {NO_ROOM}"
            ),
        ),
        "node-not-ready",
        "it is cordoned",
        "describe nodes",
    ),
    "a taint of a person's own": (
        facts(WEB, unscheduled("0/1 nodes are available: 1 node(s) had untolerated taint {gpu: yes}.")),
        "taint",
        "tainted with gpu",
        "toleration",
    ),
    "a pod that was put out": (
        facts(
            WEB,
            pod(
                phase="Failed",
                reason="Evicted",
                message="The node was low on resource: ephemeral-storage. Threshold quantity: 1Gi, available: 0.",
            ),
        ),
        "node-pressure",
        "since its ephemeral-storage was short",
        "describe nodes",
    ),
    # Claims.
    "a claim of a class that is not there": (
        using(
            "data", claim(storageClassName="fast"), classes=(storage_class("standard", "rancher.io/local-path", True),)
        ),
        "no-provisioner",
        "asks for StorageClass fast, and there is none; there are: standard",
        "storageClassName",
    ),
    "a class in the scheduler's words": (
        facts(
            WEB,
            unscheduled(
                'running PreFilter plugin "VolumeBinding": storageclass.storage.k8s.io "fast" not found',
                {"volumes": [{"name": "v", "persistentVolumeClaim": {"claimName": "data"}}]},
            ),
            claims=(claim(storageClassName="fast"),),
            classes=(storage_class("standard", "x", True),),
        ),
        "no-provisioner",
        "asks for StorageClass fast",
        "storageClassName",
    ),
    "a claim without a class": (
        using("data", claim(), classes=(storage_class("slow", "x"),)),
        "no-provisioner",
        "none of the cluster is the default",
        "storageClassName",
    ),
    "a claim that no one provides for": (
        using(
            "data",
            claim(storageClassName="by-hand"),
            classes=(storage_class("by-hand", "kubernetes.io/no-provisioner"),),
        ),
        "no-provisioner",
        "waits for a PersistentVolume that a person makes",
        "add the volume",
    ),
    "a claim whose provisioner is away": (
        using(
            "data",
            claim(storageClassName="s"),
            classes=(storage_class("s", "csi.example.com"),),
            events=(
                event(
                    "ExternalProvisioning",
                    "Waiting for a volume to be created either by the external provisioner 'csi.example.com' or manually by the system administrator.",
                    "uid-data",
                    "Normal",
                ),
            ),
        ),
        "no-provisioner",
        "waits for provisioner csi.example.com, which makes no volume",
        "describe pvc data",
    ),
    "a claim whose provisioner fails": (
        facts(
            claim(storageClassName="s"),
            classes=(storage_class("s", "csi.example.com"),),
            events=(event("ProvisioningFailed", "failed to provision volume: no space in pool", "uid-data"),),
        ),
        "no-provisioner",
        "claim data gets no volume: failed to provision volume: no space in pool",
        "describe pvc data",
    ),
    "a claim whose volume is gone": (
        facts(claim(phase="Lost", storageClassName="s")),
        "volume-lost",
        "is gone",
        "--replace pvc/data",
    ),
    "a claim that is not there": (
        facts(WEB, unscheduled('0/1 nodes are available: persistentvolumeclaim "data" not found.')),
        "claim-missing",
        "its claim data is not there",
        "claimName",
    ),
    "a volume that is full": (
        facts(
            WEB,
            pod(CRASH, spec={"volumes": [{"name": "v", "persistentVolumeClaim": {"claimName": "data"}}]}),
            log='FATAL:  could not write lock file "postmaster.pid": No space left on device',
        ),
        "volume-full",
        "its volume (data) is full",
        "df -h",
    ),
    # What the API server refuses.
    "a quota": (
        refused(QUOTA),
        "quota",
        "quota small lets no pod in: it asks for limits.memory=64Mi; used are limits.memory=100Mi of limits.memory=128Mi",
        "describe quota small -n shop",
    ),
    "a quota that wants limits": (
        refused('pods "web-1" is forbidden: failed quota: small: must specify limits.cpu for: web'),
        "quota",
        "takes only containers that say limits.cpu",
        "resources",
    ),
    "a refusal that only an event tells": (
        facts(WEB, events=(event("FailedCreate", f"Error creating: {QUOTA}", "uid-web-6c9f7d5b8"),)),
        "quota",
        "quota small",
        "describe quota",
    ),
    "a quota for the second of two pods": (
        facts(
            deployment(2), READY_POD, events=(event("FailedCreate", f"Error creating: {QUOTA}", "uid-web-6c9f7d5b8"),)
        ),
        "quota",
        "quota small",
        "describe quota",
    ),
    "Pod Security": (
        refused(SECURITY),
        "pod-security",
        "Pod Security restricted:latest forbids the pod: allowPrivilegeEscalation != false",
        "securityContext",
    ),
    "a policy's webhook that denies": (
        refused(GATEKEEPER),
        "policy",
        "policy validation.gatekeeper.sh denies the pod: [need-owner] you must provide labels",
        "correct what the policy names",
    ),
    "a policy of the API server": (
        refused(VAP),
        "policy",
        "policy no-latest denies the pod: image tags must not be latest",
        "correct what the policy names",
    ),
    "a webhook that does not answer": (
        refused(HOOK),
        "webhook",
        "webhook check.example.com does not answer",
        "webhookconfigurations",
    ),
    "a webhook without pods": (
        refused(
            'Internal error occurred: failed calling webhook "check.example.com": failed to call webhook: Post "https://check.shop.svc:443/": no endpoints available for service "check"'
        ),
        "webhook",
        "has no pod that answers",
        "webhookconfigurations",
    ),
    "a webhook whose certificate has expired": (
        refused(
            'Internal error occurred: failed calling webhook "check.example.com": failed to call webhook: Post "https://check.shop.svc:443/": tls: failed to verify certificate: x509: certificate has expired or is not yet valid'
        ),
        "certificate-expired",
        "the certificate of webhook check.example.com has expired",
        "webhookconfigurations",
    ),
    "an account that is not there": (
        refused(
            'pods "web-1" is forbidden: error looking up service account shop/robot: serviceaccount "robot" not found'
        ),
        "service-account",
        "its ServiceAccount robot is not in namespace shop",
        "serviceAccountName",
    ),
    # ConfigMaps and Secrets.
    "a Secret that is not there": (
        facts(WEB, pod(status(waiting("CreateContainerConfigError", 'secret "keys" not found')), phase="Pending")),
        "config-missing",
        "container web needs Secret keys, and there is none in namespace shop",
        "tool.devenv.secrets",
    ),
    "a key that a Secret has not": (
        facts(
            WEB,
            pod(
                status(waiting("CreateContainerConfigError", "couldn't find key PASSWORT in Secret shop/keys")),
                phase="Pending",
            ),
            keys={("Secret", "keys"): ("PASSWORD", "USER")},
        ),
        "key-missing",
        "needs key PASSWORT of Secret keys, which has no such key; it has PASSWORD, USER",
        "correct the key",
    ),
    "a ConfigMap that is to be mounted": (
        mounting('MountVolume.SetUp failed for volume "settings" : configmap "settings" not found'),
        "config-missing",
        "volume settings needs ConfigMap settings",
        "manifests",
    ),
    "a key that is to be mounted": (
        mounting(
            'MountVolume.SetUp failed for volume "settings" : configmap references non-existent config key: a.yaml',
            keys={("ConfigMap", "settings"): ("b.yaml",)},
        ),
        "key-missing",
        "needs key a.yaml of ConfigMap settings, which has no such key; it has b.yaml",
        "correct the key",
    ),
    "a volume that cannot be mounted": (
        mounting('MountVolume.MountDevice failed for volume "pvc-1" : rpc error: code = Internal desc = format failed'),
        "mount",
        "cannot be mounted",
        "devenv events",
    ),
    # What programs say.
    "a name that is of no Service": (
        facts(
            WEB,
            pod(CRASH),
            log='psycopg.OperationalError: could not translate host name "postgers" to address: Name or service not known',
            services=(service("postgres"),),
        ),
        "dns",
        "postgers is not found: namespace shop has no Service postgers; there are: postgres",
        "add the Service",
    ),
    "a name in Go's words": (
        facts(WEB, pod(CRASH), log="dial tcp: lookup cache.other.svc.cluster.local on 10.96.0.10:53: no such host"),
        "dns",
        "namespace other has no Service cache",
        "add the Service",
    ),
    "a cluster without DNS": (
        facts(WEB, pod(CRASH), log="getaddrinfo EAI_AGAIN db", services=(service("db"),), dns=(DNS_DOWN,)),
        "dns",
        "the cluster's DNS is not ready",
        "kube-dns",
    ),
    "a Service without pods": (
        facts(
            WEB,
            pod(CRASH),
            log='connection to server at "db" (10.96.0.9), port 5432 failed: Connection refused',
            services=(service("db"),),
        ),
        "no-endpoints",
        "service/db does not answer, since no pod has its labels",
        "devenv explain service/db",
    ),
    "a policy on the way": (
        facts(
            WEB, pod(CRASH), DB, log="dial tcp 10.96.0.9:80: i/o timeout", services=(service("db"),), policies=(EGRESS,)
        ),
        "network-policy",
        "service/db does not answer, and networkpolicy/closed restricts",
        "describe networkpolicy closed",
    ),
    "a policy on the way that may be about others": (
        facts(
            WEB, pod(CRASH), DB, log="dial tcp 10.96.0.9:80: i/o timeout", services=(service("db"),), policies=(OTHERS,)
        ),
        "crash",
        "i/o timeout",
        "devenv logs",
    ),
    "a port that is taken": (
        facts(
            WEB,
            pod(CRASH),
            log="OSError: [Errno 98] error while attempting to bind on address ('0.0.0.0', 8080): address already in use",
        ),
        "port-taken",
        "port 8080 is taken in the pod",
        "another port",
    ),
    "a certificate that has expired": (
        facts(
            WEB,
            pod(CRASH),
            log="ssl.SSLCertVerificationError: [SSL: CERTIFICATE_VERIFY_FAILED] certificate verify failed: certificate has expired (_ssl.c:1000)",
        ),
        "certificate-expired",
        "a certificate has expired",
        "devenv tls status",
    ),
    "OPA, by its decision log": (
        facts(WEB, pod(CRASH), log="HTTP 403: policy denied request", decisions=(OPA,)),
        "opa-denies",
        'OPA denies by rule shop/authz/allow; input {"method": "DELETE", "tenant": "a"}',
        "decision_id",
    ),
    "OPA without a decision log": (
        facts(WEB, pod(CRASH), log="RuntimeError: 403: OPA policy denied request"),
        "opa-denies",
        "it logs no decisions",
        "devenv logs",
    ),
    # Databases.
    "a migration that failed": (
        facts(JOB, pod(status({"terminated": ended(1)}), phase="Failed", owner="Job"), log=MIGRATION),
        "migration-failed",
        'migration 0004 failed, statement CREATE TABLE places ( id SERIAL NOT NULL ): sqlalchemy.exc.ProgrammingError: (psycopg.errors.DuplicateTable) relation "places" already exists',
        "devenv logs job/web",
    ),
    "a database ahead of the image": (
        facts(JOB, pod(status({"terminated": ended(1)}), phase="Failed", owner="Job"), log=LOST_REVISION),
        "database-ahead",
        "its schema is at 0009, which the image does not know",
        "newer image",
    ),
    "a database behind the image": (
        facts(
            WEB,
            pod(CRASH),
            log='sqlalchemy.exc.ProgrammingError: (psycopg.errors.UndefinedTable) relation "places" does not exist',
        ),
        "database-behind",
        "it has no places",
        "devenv plan",
    ),
    "a database whose tool says that it is behind": (
        facts(WEB, pod(CRASH), log="FAILED: Target database is not up to date."),
        "database-behind",
        "Target database is not up to date",
        "devenv plan",
    ),
    # Services.
    "a Service that selects other labels": (
        facts(service("web", {"app": "wbe"}), READY_POD),
        "no-endpoints",
        f"service/web selects app=wbe, and no pod has these labels; pod/{NAME} has app=web",
        "selector",
    ),
    "a Service whose pods are not ready": (
        facts(service("web"), pod(CRASH)),
        "no-endpoints",
        "none of 1 with its labels is ready",
        "devenv explain",
    ),
    "a Service whose pods are not there yet": (
        facts(service("web"), workloads=(WEB,)),
        "no-endpoints",
        "service/web leads to no pod, since deployment/web has none",
        "devenv explain deployment/web",
    ),
    "a Service with a port that its pods do not name": (
        facts(
            service("web", targetPort="grpc"),
            pod(
                status(RUNS, ready=True),
                spec={"containers": [container(ports=[{"containerPort": 80, "name": "http"}])]},
            ),
        ),
        "no-endpoints",
        "leads to port grpc of its pods, and they name no such port; they name: http",
        "targetPort",
    ),
    # What is not there, or goes.
    "what is not applied": (facts(None), "absent", "deployment/web is not in the cluster", "devenv up"),
    "what waits for a gate": (
        facts(None, waits=(JOB.id,)),
        "waits",
        "it is not applied before job/web is ready",
        "devenv explain job/web",
    ),
    "what is on its way out": (
        facts(
            parsed(
                {
                    **WEB.raw,
                    "metadata": {**WEB.meta, "deletionTimestamp": "2026-01-01T10:00:00Z", "finalizers": ["x/y"]},
                }
            )
        ),
        "leaving",
        "it goes once these finalizers are done: x/y",
        "devenv up",
    ),
    "what no rule knows": (
        facts(
            parsed(
                {
                    **head("example.com/v1", "Queue", "q"),
                    "status": {"conditions": [{"type": "Ready", "status": "False", "reason": "NoBroker"}]},
                }
            )
        ),
        "pending",
        "queue/q: NoBroker",
        "devenv wait queue/q",
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_each_cause_is_told_in_plain_words_with_the_next_command(name: str) -> None:
    known, kind, text, next_ = CASES[name]
    cause = rules.of(known)
    assert cause is not None
    assert cause.kind == kind, cause
    assert text in cause.text
    assert next_ in cause.next
    assert cause.next.startswith(("devenv ", "kubectl "))
    assert "\n" not in cause.text + cause.next


RECORDED = {
    "deployment-no-image": ("", "image-missing", "the name of its registry is not known"),
    "deployment-no-secret": ("", "config-missing", "container c needs Secret nowhere"),
    "deployment-crash-loop": ("no bread", "crash", "container c crashes with exit code 3, 3 restarts so far: no bread"),
    "deployment-no-node": ("", "no-node", "no node has the labels"),
    "deployment-too-big": ("", "too-big", "no node has enough memory"),
    "deployment-not-ready": ("", "starting", "its probe (false) has not been answered yet"),
    "job-failed": ("why", "crash", "container c failed with exit code 1: why"),
    "job-running": ("", "pending", "not complete"),
}
RECORDINGS = Path(__file__).parent / "recorded"


@pytest.mark.parametrize("name", sorted(file.stem for file in RECORDINGS.glob("*.json")))
def test_what_a_cluster_has_told_is_explained(name: str) -> None:
    told = json.loads((RECORDINGS / f"{name}.json").read_text())
    log, kind, text = RECORDED.get(name, ("", "", ""))
    sets, pods = ([Object.parse(raw, "recording") for raw in told[key]] for key in ("sets", "pods"))
    cause = rules.of(facts(Object.parse(told["object"], "recording"), *pods, sets=tuple(sets), log=log))
    assert (cause.kind if cause else "") == kind
    assert cause is None or text in cause.text


WELL = {
    "a Deployment that is ready": facts(parsed({**WEB.raw, "status": {"observedGeneration": 1, "replicas": 1, "updatedReplicas": 1, "readyReplicas": 1}}), READY_POD),
    "a Service with a pod": facts(service("web"), READY_POD),
    "a Service without a selector": facts(parsed({**service("web").raw, "spec": {"type": "ClusterIP"}})),
    "a Service of what is scaled down": facts(service("web"), workloads=(deployment(0),)),
    "a claim that is bound": facts(claim(phase="Bound")),
}  # fmt: skip


@pytest.mark.parametrize("name", WELL)
def test_nothing_is_said_of_what_is_well(name: str) -> None:
    assert rules.of(WELL[name]) is None


def test_the_chain_leads_from_the_owner_to_the_log() -> None:
    told = (
        event("BackOff", "Back-off restarting failed container web", second=2),
        event("Pulled", "pulled", type_="Normal"),
    )
    links = chain.of(facts(WEB, pod(CRASH), events=told, log=f"starting\n{TRACE}"))
    assert [(link.depth, link.kind, link.name) for link in links] == [
        (0, "owner", "deployment/web"),
        (1, "owner", "replicaset/web-6c9f7d5b8"),
        (2, "pod", f"pod/{NAME}"),
        (3, "container", "container web"),
        (4, "condition", "Ready False"),
        (4, "event", "BackOff"),
        (4, "log", "log"),
        (4, "log", "log"),
        (4, "log", "log"),
    ]
    assert links[3].text == "CrashLoopBackOff, 2 restarts, exit code 1"
    assert links[-1].text == "ValueError: no bread"


def test_a_cause_comes_after_what_it_lies_behind() -> None:
    """The migration fails, the API waits for it, and its Service has no pod: from the first to the last."""
    gate = facts(JOB, pod(status({"terminated": ended(1)}), phase="Failed", owner="Job"), log=MIGRATION)
    api = facts(None, waits=(JOB.id,))
    leads = facts(service("web"), workloads=(WEB,))
    found = [(f, cause) for f in (leads, api, gate) if (cause := rules.of(f))]
    assert [f.part for f, _ in order.in_order(found)] == [JOB.id, WEB.id, leads.part]
    assert [f.part for f, _ in order.without_echoes(order.in_order(found))] == [JOB.id, WEB.id]
    alone = [(leads, cause) for _, cause in found[:1]]
    assert order.without_echoes(alone) == alone


def test_a_store_that_still_starts_comes_before_what_has_failed_for_want_of_it() -> None:
    by = [{"kind": "StatefulSet", "name": "db", "uid": "uid-db", "controller": True}]
    db = parsed({**DB.raw, "metadata": {**DB.meta, "ownerReferences": by}, "status": pod(status(RUNS)).raw["status"]})
    store = facts(parsed({**head("apps/v1", "StatefulSet", "db"), "status": {"observedGeneration": 1}}), db)
    looped = status(BACK_OFF, ended(1), 5)
    api = facts(WEB, pod(looped), db, log="dial tcp 10.96.0.9:5432: connection refused", services=(service("db"),))
    found = [(f, cause) for f in (api, store) if (cause := rules.of(f))]
    assert [f.readiness.level for f, _ in found] == [Level.FAILED, Level.PENDING]
    assert [str(f.part) for f, _ in order.in_order(found)] == ["statefulset/db", "deployment/web"]


def test_of_many_events_the_newest_warnings_are_told_once_in_their_order() -> None:
    told = [event("Unhealthy", f"no {n}", second=n) for n in (1, 2, 3, 4, 4)]
    links = chain.of(facts(WEB, pod(status(RUNS)), events=(*told, event("Pulled", "well", type_="Normal", second=9))))
    assert [link.text for link in links if link.kind == "event"] == ["no 2", "no 3", "no 4"]


def test_causes_that_lie_behind_each_other_are_each_told_once() -> None:
    first = facts(None, waits=(JOB.id,))
    second = facts(JOB, pod(status({"terminated": ended(1)}), phase="Failed", owner="Job"), waits=(WEB.id,))
    found = [(f, cause) for f in (first, second) if (cause := rules.of(f))]
    assert len(order.in_order(found)) == 2
    assert order.in_order(found)[0][0].readiness.level in (Level.FAILED, Level.ABSENT)


@pytest.mark.parametrize(
    ("log", "words"),
    [
        ("", ""),
        ("one\ntwo\n\n", "two"),
        (TRACE, "ValueError: no bread"),
        (f"{TRACE}\n\nDuring handling of the above exception, another exception occurred:\n\nTraceback (most recent call last):\n  File \"x\"\nshop.errors.Closed: at night", "shop.errors.Closed: at night"),
        (f"{TRACE}\nbye", "ValueError: no bread"),
        ("panic: runtime error: index out of range [3] with length 3\n\ngoroutine 1 [running]:\nmain.main()\n\t/app/main.go:8 +0x1d\nexit status 2", "panic: runtime error: index out of range [3] with length 3"),
        ("fatal error: all goroutines are asleep - deadlock!\n\ngoroutine 1 [chan receive]:", "fatal error: all goroutines are asleep - deadlock!"),
        ("/app/index.js:3\nthrow new TypeError('no bread')\n^\n\nTypeError: no bread\n    at Object.<anonymous> (/app/index.js:3:7)\n    at node:internal/main/run_main_module:28:49\n\nNode.js v22.1.0", "TypeError: no bread"),
        ("Error: Cannot find module 'express'\n    at Module._resolveFilename (node:internal)\n\nNode.js v22.1.0", "Error: Cannot find module 'express'"),
        ('Exception in thread "main" java.lang.IllegalStateException: closed\n\tat Main.main(Main.java:3)\nCaused by: java.io.IOException: no bread\n\tat Main.read(Main.java:9)', "java.io.IOException: no bread"),
        ("2026-01-01 10:00:00 UTC [1] FATAL:  database files are incompatible with server\nshutting down", "2026-01-01 10:00:00 UTC [1] FATAL:  database files are incompatible with server"),
    ],
)  # fmt: skip
def test_the_last_words_are_those_of_the_exception(log: str, words: str) -> None:
    assert last_words(log.splitlines()) == words


@given(st.lists(st.text(), max_size=8), st.sampled_from(["exit", "runs"]))
def test_whatever_a_log_says_the_cause_is_one_line(lines: list[str], at: str) -> None:
    seen = status(BACK_OFF, ended(1), 2) if at == "exit" else status(RUNS)
    cause = rules.of(facts(WEB, pod(seen), log="\n".join(lines), services=(service("db"),)))
    assert cause is not None
    assert len((cause.text + cause.next).splitlines()) == 1


def test_every_rule_has_a_case() -> None:
    assert HOME == "shop"
    told = {kind for _, kind, _, _ in CASES.values()}
    asked = {
        "image-missing", "wrong-architecture", "crash", "init-failed", "probe-strict", "probe-port", "out-of-memory",
        "no-provisioner", "volume-full", "quota", "pod-security", "policy", "dns", "no-endpoints", "config-missing",
        "key-missing", "migration-failed", "database-behind", "database-ahead", "opa-denies", "certificate-expired",
        "port-taken", "node-pressure", "webhook",
    }  # fmt: skip
    assert asked <= told


@pytest.mark.parametrize(
    ("program", "args", "kind", "text"),
    [
        (broken.RAISES, (), "crash", "ValueError: no bread"),
        (broken.TAKES_A_PORT_TWICE, (), "port-taken", "Address already in use"),
        (broken.ASKS_FOR_NOBODY, (), "dns", "a host name is not found: "),
        (broken.MIGRATES, (), "migration-failed", "migration 0001 failed, statement alter table nowhere add column bread int: sqlalchemy.exc.OperationalError"),
        (broken.MIGRATES, ("0009",), "database-ahead", "its schema is at 0009"),
    ],
)  # fmt: skip
def test_what_a_real_program_says_at_its_end_is_understood(
    program: str, args: tuple[str, ...], kind: str, text: str
) -> None:
    done = subprocess.run([sys.executable, "-c", program, *args], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    found = facts(
        JOB, pod(status({"terminated": ended(1)}), phase="Failed", owner="Job"), log=done.stdout + done.stderr
    )
    cause = rules.of(found)
    assert cause is not None
    assert cause.kind == kind
    assert text in cause.text


@pytest.mark.parametrize(
    ("restarts", "code", "reason", "lasted_s", "since_s", "unsteady"),
    [
        (3, 1, "Error", 1, 2, True), (2, 1, "Error", 1, 2, False), (3, 0, "Completed", 1, 2, True),
        (3, 1, "Error", 1, 11, False), (3, 1, "Error", 20, 39, True), (3, 1, "Error", 20, 41, False), (3, 1, "Error", 300, 59, True), (3, 1, "Error", 300, 61, False),
        (9, 255, "Unknown", 1, 2, False), (9, 1, "Error", 700, 2, False),
    ],
)  # fmt: skip
def test_what_runs_between_two_crashes_is_not_well(
    restarts: int, code: int, reason: str, lasted_s: int, since_s: int, unsteady: bool
) -> None:
    now = datetime(2026, 1, 1, 12, tzinfo=UTC)
    begun = now - timedelta(seconds=since_s)
    before = begun - timedelta(seconds=1)
    end = {"exitCode": code, "reason": reason, "finishedAt": before.isoformat()}
    end["startedAt"] = (before - timedelta(seconds=lasted_s)).isoformat()
    container = {"name": "c", "ready": True, "restartCount": restarts, "lastState": {"terminated": end}}
    container["state"] = {"running": {"startedAt": begun.isoformat()}}
    status = {"phase": "Running", "containerStatuses": [container]}
    pod = Object.parse({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p"}, "status": status}, "shop")
    assert steadiness.unsteady(pod, now) == ("c" if unsteady else "")
    spot = spot_of(pod, steadiness.unsteady(pod, now))
    assert (spot is not None and spot.previous) == unsteady
    assert spot is None or chain.state(spot).startswith("runs for now, ")
