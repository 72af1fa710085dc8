"""What can be set in the Helm chart has the effect that it says, and what would have none is refused."""

import json
from typing import Any

import pytest

from tests.rendering import CHARTED, IMAGES, Document, pods, reference
from tests.test_chart import BACKUP, charted, helm, images

API = "Deployment/somabrain"
IDENTITY = {"app.kubernetes.io/instance", "app.kubernetes.io/name", "app.kubernetes.io/part-of"}
ALL = {*IDENTITY, "app.kubernetes.io/managed-by", "app.kubernetes.io/version", "helm.sh/chart"}


def with_values(environment: str, *words: str, **values: Any) -> dict[str, Document]:
    return charted(environment, *images(IMAGES[environment]), *words, **values)


def spec_of(seen: dict[str, Document], name: str = API) -> Document:
    spec: Document = seen[name]["spec"]["template"]["spec"]
    return spec


def environment_of(seen: dict[str, Document], name: str = API) -> dict[str, Document]:
    variables = spec_of(seen, name)["containers"][0]["env"]
    assert len({v["name"] for v in variables}) == len(variables)
    return {v["name"]: {k: v[k] for k in v if k != "name"} for v in variables}


@pytest.mark.parametrize("environment", CHARTED)
def test_the_chart_passes_helm_s_own_review(environment: str) -> None:
    done = helm(environment, *images(IMAGES[environment]), "--strict", verb="lint")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "[WARNING]" not in done.stdout


@pytest.mark.parametrize("environment", CHARTED)
def test_every_object_has_the_labels_of_helm_s_convention_and_no_selector_goes_by_them(environment: str) -> None:
    seen = with_values(environment)
    for name, obj in seen.items():
        labels = obj["metadata"]["labels"]
        assert labels.keys() >= ALL, name
        assert labels["app.kubernetes.io/name"] == labels.get("app", "somabrain")
    for name, template in pods(list(seen.values())):
        # A label of the version would replace pods that need not be replaced.
        assert template["metadata"]["labels"].keys() == {"app", *IDENTITY}, name
        assert seen[name]["spec"].get("selector", {}).get("matchLabels", {}).keys() <= {"app"}, name
    for claim in (c for o in seen.values() for c in o.get("spec", {}).get("volumeClaimTemplates", ())):
        assert "labels" not in claim["metadata"]  # nothing of a claim can be changed


@pytest.mark.parametrize("environment", CHARTED)
def test_a_first_migration_needs_nothing_that_is_not_there_yet(environment: str) -> None:
    """Before an installation there are neither priority classes nor overrides; afterwards it is as in the overlay."""
    first = spec_of(with_values(environment), "Job/somabrain-migrate")
    later = spec_of(with_values(environment, "--is-upgrade"), "Job/somabrain-migrate")
    assert later["priorityClassName"] == "somabrain"
    assert "priorityClassName" not in first
    assert {"configMap": {"name": "somabrain-overrides", "optional": True}, "name": "overrides"} in first["volumes"]
    assert {"configMap": {"name": "somabrain-overrides"}, "name": "overrides"} in later["volumes"]


def test_a_second_release_of_a_cluster_leaves_the_priority_classes_to_the_first() -> None:
    seen = with_values("dev", priorityClasses={"create": False})
    assert not [name for name in seen if name.startswith("PriorityClass/")]
    assert spec_of(seen)["priorityClassName"] == "somabrain"


def test_any_variable_can_be_set_once_and_with_one_source() -> None:
    key = {"secretKeyRef": {"name": "more", "key": "token"}}
    env = {
        "SOMABRAIN_MODE": "prod",  # there with a value
        "SOMABRAIN_API_TOKEN": "written-down",  # there with a source
        "SOMABRAIN_RATE_RPS": "5",  # not there
        "SOMABRAIN_ADMIN_TOKEN": {"valueFrom": key},
    }
    seen = environment_of(with_values("dev", workloads={"somabrain": {"env": env}}))
    before = environment_of(with_values("dev"))
    assert seen["SOMABRAIN_MODE"] == {"value": "prod"}
    assert seen["SOMABRAIN_API_TOKEN"] == {"value": "written-down"}
    assert seen["SOMABRAIN_RATE_RPS"] == {"value": "5"}
    assert seen["SOMABRAIN_ADMIN_TOKEN"] == {"valueFrom": key}
    untouched = before.keys() - env.keys()
    assert {k: seen[k] for k in untouched} == {k: before[k] for k in untouched}
    opa = with_values("dev", workloads={"sb-opa": {"env": {"GOMAXPROCS": "1"}}})
    assert environment_of(opa, "Deployment/sb-opa") == {"GOMAXPROCS": {"value": "1"}}


def test_every_pod_is_placed_annotated_and_pulled_as_the_values_say() -> None:
    place: dict[str, Any] = {
        "nodeSelector": {"disk": "ssd"},
        "tolerations": [{"key": "dedicated", "operator": "Exists", "effect": "NoSchedule"}],
        "podAnnotations": {"example.com/scrape": "true"},
    }
    own: dict[str, Any] = {
        "nodeSelector": {"disk": "fast"},
        "tolerations": [{"key": "x"}],
        "podAnnotations": {"example.com/a": "b"},
    }
    secrets = [{"name": "registry"}]
    seen = with_values("staging", **place, imagePullSecrets=secrets, workloads={"postgres": own})
    for name, template in pods(list(seen.values())):
        wanted = own if name == "StatefulSet/postgres" else place
        assert template["spec"]["imagePullSecrets"] == secrets, name
        assert template["spec"]["nodeSelector"] == wanted["nodeSelector"], name
        assert template["spec"]["tolerations"] == wanted["tolerations"], name
        assert template["metadata"]["annotations"] == wanted["podAnnotations"], name


def test_a_longer_drain_lengthens_the_grace_period_by_as_much() -> None:
    before = spec_of(with_values("dev"))
    after = spec_of(with_values("dev", workloads={"somabrain": {"drainSeconds": 60}}))
    drains = [s["containers"][0]["lifecycle"]["preStop"]["sleep"]["seconds"] for s in (before, after)]
    assert drains == [2, 60]
    assert after["terminationGracePeriodSeconds"] == before["terminationGracePeriodSeconds"] + 58


def test_the_ingress_is_that_of_the_cluster() -> None:
    wanted = {
        "className": "haproxy",
        "tlsSecret": "ours",
        "issuer": "",
        "annotations": {"example.com/a": "b"},
        "controllerNamespace": "edge",
    }
    seen = with_values("staging", ingress=wanted)
    ingress = seen["Ingress/somabrain-ingress"]
    assert ingress["spec"]["ingressClassName"] == "haproxy"
    assert ingress["spec"]["tls"] == [{"hosts": ["somabrain.staging.example.com"], "secretName": "ours"}]
    annotations = ingress["metadata"]["annotations"]
    assert annotations["example.com/a"] == "b"
    assert "cert-manager.io/cluster-issuer" not in annotations
    text = json.dumps(seen["NetworkPolicy/somabrain"])
    assert '"kubernetes.io/metadata.name": "edge"' in text
    assert "ingress-nginx" not in text


def test_the_autoscaler_s_bounds_are_the_values() -> None:
    seen = with_values("prod", autoscaling={"minReplicas": 2, "maxReplicas": 4, "targetCPU": 50})
    spec = seen["HorizontalPodAutoscaler/somabrain"]["spec"]
    assert (spec["minReplicas"], spec["maxReplicas"]) == (2, 4)
    assert spec["metrics"][0]["resource"]["target"]["averageUtilization"] == 50


def test_the_database_s_volume_backup_and_subnets_are_the_values() -> None:
    internal = with_values("staging", postgres={"storage": "20Gi", "storageClass": "fast"})
    (claim,) = internal["StatefulSet/postgres"]["spec"]["volumeClaimTemplates"]
    assert claim["spec"]["storageClassName"] == "fast"
    assert claim["spec"]["resources"] == {"requests": {"storage": "20Gi"}}
    managed = with_values("prod", postgres={"cidrs": ["10.1.2.0/24"], "ports": [5432, 6432]})
    (rule,) = managed["NetworkPolicy/to-postgres"]["spec"]["egress"]
    assert rule == {"to": [{"ipBlock": {"cidr": "10.1.2.0/24"}}], "ports": [{"port": 5432}, {"port": 6432}]}
    postgres = {"source": "operator", "backup": "s3://ours/x", "storage": "20Gi", "storageClass": "fast"}
    refs = [*IMAGES["prod"], reference("postgresql")]
    operator = charted("prod", *images(refs), postgres=postgres)
    cluster = operator["Cluster/postgres"]["spec"]
    assert cluster["storage"] == {"size": "20Gi", "storageClass": "fast"}
    assert cluster["walStorage"] == {"size": "10Gi", "storageClass": "fast"}
    assert operator["ObjectStore/postgres"]["spec"]["configuration"]["destinationPath"] == "s3://ours/x"


def test_the_authority_of_the_database_s_certificate_is_read_where_the_values_say() -> None:
    for value, name in (("", "postgres-ca"), ("of-the-provider", "of-the-provider")):
        seen = with_values("prod", postgres={"caConfigMap": value})
        for workload in (API, "Job/somabrain-migrate"):
            spec = spec_of(seen, workload)
            (volume,) = (v for v in spec["volumes"] if v["name"] == "postgres-ca")
            assert volume["configMap"] == {"name": name, "optional": True}
            mounts = [c["volumeMounts"] for c in (spec["initContainers"][0], spec["containers"][0])]
            assert all({"name": "postgres-ca", "mountPath": "/etc/postgres-ca"} in mount for mount in mounts)


@pytest.mark.parametrize(
    ("environment", "value", "said"),
    [
        ("dev", "workloads.api={}", "value must be one of 'somabrain', 'sb-redis', 'sb-opa', 'postgres'"),
        ("dev", 'workloads.somabrain.environment={"A":"b"}', "additional properties 'environment' not allowed"),
        ("dev", 'workloads.somabrain.env={"A-B":"c"}', "'A-B' does not match pattern"),
        ("dev", 'workloads.somabrain.env={"A":5}', "got number, want string"),
        ("dev", 'workloads.somabrain.env={"A":{"value":"b"}}', "additional properties 'value' not allowed"),
        ("dev", "workloads.postgres.replicas=2", "workloads.postgres.replicas: cannot be set"),
        ("prod", "workloads.postgres={}", "workloads.postgres: has no effect with this postgres.source"),
        ("prod", "workloads.somabrain.replicas=2", "workloads.somabrain.replicas: with availability the"),
        ("dev", "autoscaling.minReplicas=2", "autoscaling: has no effect without availability: true"),
        ("prod", "autoscaling.maxReplicas=2", "autoscaling: minReplicas is above maxReplicas"),
        ("prod", 'postgres.storage="2Gi"', "postgres.storage, postgres.storageClass: have no effect"),
        ("dev", 'postgres.cidrs=["10.0.0.0/8"]', "postgres.cidrs: has no effect"),
        ("dev", "postgres.ports=[6432]", "postgres.ports: has no effect"),
        ("dev", f'postgres.backup="{BACKUP}"', "postgres.backup: has no effect"),
        ("prod", 'postgres.source="operator"', "at '/postgres/backup': minLength"),
        ("dev", 'ingress.className="nginx"', "ingress.className: has no effect without ingress.host"),
        ("prod", 'ingress.issuer=""', "ingress: give an issuer (a cert-manager ClusterIssuer) or a tlsSecret"),
    ],
)
def test_a_value_that_is_unknown_or_would_have_no_effect_is_refused(environment: str, value: str, said: str) -> None:
    done = helm(environment, *images(IMAGES[environment]), "--set-json", value)
    assert done.returncode != 0
    assert done.stdout == ""
    assert said in done.stderr


def test_a_cluster_that_is_too_old_is_refused() -> None:
    """`preStop.sleep` came with Kubernetes 1.30."""
    done = helm("dev", "--kube-version", "1.29.9")
    assert done.returncode != 0
    assert "kubeVersion: >=1.30.0-0" in done.stderr
    assert helm("dev", "--kube-version", "1.30.0").returncode == 0


@pytest.mark.parametrize("environment", CHARTED)
def test_an_installation_says_what_is_left_to_do(environment: str) -> None:
    words = (*images(IMAGES[environment]), "--dry-run=client", "--namespace", "there")
    notes = helm(environment, *words, verb="install").stdout.partition("NOTES:\n")[2]
    assert "kubectl label namespace there pod-security.kubernetes.io/enforce=restricted" in notes
    assert "helm test somabrain --namespace there" in notes
    assert ("somabrain-postgres" in notes) is (environment != "prod")
    assert ("before this installation" in notes) is (environment == "prod")
    assert ("https://somabrain." in notes) is (environment != "dev")
