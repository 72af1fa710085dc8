"""What somebody has changed by hand: `plan` names it, with who and what, and `up` puts it back."""

import json
import time
from collections.abc import Iterator

import pytest

from tests.cluster.environment import Environment
from tests.cluster.service import NAMESPACE

SPARE = """apiVersion: v1
kind: ConfigMap
metadata: {name: spare}
data: {a: b, c: d}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {name: spare}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: view}
---
apiVersion: v1
kind: PersistentVolumeClaim
metadata: {name: spare}
spec: {accessModes: [ReadWriteOnce], resources: {requests: {storage: 2Mi}}}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: spare}
spec:
  replicas: 0
  selector: {matchLabels: {app: spare}}
  template:
    metadata: {labels: {app: spare, side: left}}
    spec:
      containers:
        - {name: c, image: "redis:7", args: [redis-server], resources: {limits: {cpu: 100m, memory: 64Mi}}}
---
apiVersion: apps/v1
kind: StatefulSet
metadata: {name: spare}
spec:
  replicas: 1
  serviceName: spare
  selector: {matchLabels: {app: spare-set}}
  template:
    metadata: {labels: {app: spare-set}}
    spec:
      automountServiceAccountToken: false
      securityContext: {runAsNonRoot: true, runAsUser: 999, seccompProfile: {type: RuntimeDefault}}
      volumes: [{name: kept, persistentVolumeClaim: {claimName: spare}}]
      containers:
        - name: c
          image: redis:7
          args: [redis-server, --save, ""]
          volumeMounts: [{name: kept, mountPath: /kept}]
          resources: {limits: {cpu: 100m, memory: 64Mi}, requests: {cpu: 10m, memory: 16Mi}}
          securityContext: {allowPrivilegeEscalation: false, capabilities: {drop: [ALL]}}
"""


@pytest.fixture
def spare(stack: Environment) -> Iterator[Environment]:
    """The stack, with some objects of its own that nothing depends on."""
    stack.edit("k8s/overlays/dev/kustomization.yaml", "patches:", "  - spare.yaml\npatches:")
    (stack.root / "k8s/overlays/dev/spare.yaml").write_text(SPARE)
    stack.fine("up")
    assert stack.plan() == ""
    yield stack
    objects = [f"{kind}/spare" for kind in ("configmap", "rolebinding", "deployment", "statefulset", "pvc")]
    stack.kubectl("-n", NAMESPACE, "delete", *objects)


def test_what_was_changed_by_hand_is_in_the_plan_and_put_back(spare: Environment) -> None:
    here = ("-n", NAMESPACE)
    spare.kubectl(*here, "scale", "deployment/spare", "--replicas=2", "--current-replicas=0")
    spare.kubectl(*here, "patch", "configmap/spare", "--patch", json.dumps({"data": {"a": "changed", "c": None}}))
    spare.kubectl(*here, "label", "configmap/spare", "of=theirs")  # what others add is their own
    seen = spare.run("status", "-o", "json")
    assert seen.returncode == 1
    assert json.loads(seen.stdout)["ready"] is False
    lines = dict(line.split(": ", 1) for line in spare.plan().splitlines())
    assert "configmap/spare: was changed by kubectl-patch at " in lines["objects"]
    assert lines["objects"].endswith(": data.a, data.c")
    assert lines["apply deployment/spare"].startswith("was changed by kubectl")
    assert lines["apply deployment/spare"].endswith(": spec.replicas")
    spare.fine("up")
    assert spare.plan() == ""
    assert spare.kubectl(*here, "get", "deployment/spare", "-o", "jsonpath={.spec.replicas}") == "0"
    found = json.loads(spare.kubectl(*here, "get", "configmap/spare", "-o", "json"))
    assert (found["data"], found["metadata"]["labels"]["of"]) == ({"a": "b", "c": "d"}, "theirs")


def test_what_cannot_be_changed_in_place_is_replaced_and_the_pods_of_a_stateful_set_go_on(spare: Environment) -> None:
    pod = ("-n", NAMESPACE, "get", "pod/spare-0", "-o", "jsonpath={.metadata.uid}")
    before = spare.kubectl(*pod)
    file = spare.root / "k8s/overlays/dev/spare.yaml"
    changed = file.read_text().replace("{matchLabels: {app: spare}}", "{matchLabels: {side: left}}")
    file.write_text(changed.replace("serviceName: spare", "serviceName: other").replace("name: view", "name: edit"))
    plan, replaced = spare.plan(), "cannot be changed in place, and is replaced: "
    assert f"replace rolebinding/spare: {replaced}roleRef: field is immutable" in plan
    assert f"apply deployment/spare: {replaced}spec.selector: field is immutable" in plan
    assert f"apply statefulset/spare: {replaced}spec.serviceName: field is immutable" in plan
    spare.fine("up")
    assert spare.plan() == ""
    assert spare.kubectl(*pod) == before


def test_a_claim_is_made_anew_only_by_name_and_its_pods_with_it(spare: Environment) -> None:
    inside = ("-n", NAMESPACE, "exec", "spare-0", "--")
    spare.kubectl(*inside, "touch", "/kept/file")
    file = spare.root / "k8s/overlays/dev/spare.yaml"
    file.write_text(file.read_text().replace("[ReadWriteOnce]", "[ReadWriteOncePod]"))
    refused = spare.run("up")
    assert refused.returncode == 1
    assert "persistentvolumeclaim/spare cannot be changed in place, and may hold data: " in refused.stderr
    assert "devenv up --replace persistentvolumeclaim/spare" in refused.stderr
    assert spare.kubectl(*inside, "ls", "/kept") == "file\n"
    spare.fine("up", "--replace", "persistentvolumeclaim/spare")
    assert spare.plan() == ""
    assert spare.kubectl(*inside, "ls", "/kept") == ""


def test_a_workload_goes_back_to_its_former_revision_until_the_next_up(spare: Environment) -> None:
    requested = ("-n", NAMESPACE, "get", "pod/spare-0", "-o", "jsonpath={.spec.containers[0].resources.requests.cpu}")
    file = spare.root / "k8s/overlays/dev/spare.yaml"
    file.write_text(file.read_text().replace("cpu: 10m", "cpu: 20m"))
    spare.fine("up")
    assert spare.kubectl(*requested) == "20m"
    shown = spare.fine("rollback", "statefulset/spare")
    assert {"-            cpu: 20m", "+            cpu: 10m"} <= set(shown.splitlines())
    assert spare.kubectl(*requested) == "10m"
    assert "apply statefulset/spare: " in spare.plan()
    spare.fine("up")
    assert spare.kubectl(*requested) == "20m"
    assert spare.plan() == ""


def test_what_the_api_server_does_not_take_is_told_before_anything_is_changed(spare: Environment) -> None:
    file = spare.root / "k8s/overlays/dev/spare.yaml"
    file.write_text(file.read_text().replace("a: b", "a: new").replace("cpu: 100m", "cpu: -1"))
    failed = spare.run("up")
    assert failed.returncode == 1
    assert "deployment/spare is not valid: " in failed.stderr
    assert spare.kubectl("-n", NAMESPACE, "get", "configmap/spare", "-o", "jsonpath={.data.a}") == "b"


def test_an_object_that_is_on_its_way_out_is_seen_gone_and_applied_again(spare: Environment) -> None:
    here = ("-n", NAMESPACE)
    spare.kubectl(*here, "patch", "configmap/spare", "--patch", '{"metadata":{"finalizers":["tests.example.com/x"]}}')
    spare.kubectl(*here, "delete", "configmap/spare", "--wait=false")
    assert spare.plan() == "objects: configmap/spare: is being deleted\n"
    up = spare.start("up")
    time.sleep(10)
    assert up.poll() is None  # it waits
    spare.kubectl(*here, "patch", "configmap/spare", "--patch", '{"metadata":{"finalizers":null}}')
    assert up.wait(120) == 0
    assert spare.plan() == ""
    assert spare.kubectl(*here, "get", "configmap/spare", "-o", "jsonpath={.data.a}") == "b"
