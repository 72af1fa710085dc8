"""The ingress while things change or are wrong: nothing that was fine stops being served, and people are told."""

import time

from tests.cluster.environment import Environment
from tests.cluster.ingress import OWN, Ingress
from tests.cluster.objects import NAMESPACE, ingress_object, secret
from tests.cluster.traffic import Traffic
from tests.waiting import eventually

STACK = "somabrain-prod"
DONE = 'ingress_reloads_total{result="done"}'


def test_a_deleted_secret_keeps_the_last_good_certificate(ingress: Ingress) -> None:
    served = ingress.put_secret("gone", *ingress.make_certificate("gone", "a.test"))
    ingress.serve(ingress_object("deleted", ["a.test Prefix / s1"], tls={"a.test": "gone"}))
    eventually(lambda: ingress.certificate("a.test") == served)
    ingress.delete("secret", "gone")
    assert "the last good certificate is still served" in ingress.told("Ingress", "deleted", "CertificateMissing")
    ingress.serve()
    assert ingress.certificate("a.test") == served
    anew = ingress.put_secret("gone", *ingress.make_certificate("anew", "a.test"))
    eventually(lambda: ingress.certificate("a.test") == anew)


def test_a_broken_secret_keeps_the_last_good_certificate(ingress: Ingress) -> None:
    served = ingress.put_secret("broken", *ingress.make_certificate("broken", "a.test"))
    ingress.serve(ingress_object("broken", ["a.test Prefix / s1"], tls={"a.test": "broken"}))
    eventually(lambda: ingress.certificate("a.test") == served)
    ingress.apply(secret("broken", "kubernetes.io/tls", {"tls.crt": "no certificate", "tls.key": "no key"}))
    for kind in ("Ingress", "Secret"):
        assert "the last good certificate is still served" in ingress.told(kind, "broken", "CertificateBroken")
    ingress.serve()
    assert ingress.certificate("a.test") == served


def test_what_nginx_refuses_never_replaces_what_is_good(ingress: Ingress) -> None:
    served = ingress.put_secret("weak", *ingress.make_certificate("strong", "a.test"))
    ingress.serve(ingress_object("weak", ["a.test Prefix / s1"], tls={"a.test": "weak"}))
    eventually(lambda: ingress.certificate("a.test") == served)
    refused = ingress.metrics()["ingress_refused_configurations_total"]
    # Go takes a key of 1024 bits, OpenSSL as Debian sets it up does not.
    weak = ingress.make_certificate("weak", "a.test", "-newkey", "rsa:1024")
    ingress.put_secret("weak", *weak)
    assert "key too small" in ingress.told("Ingress", "weak", "CertificateBroken")
    assert ingress.metrics()["ingress_refused_configurations_total"] == refused + 1
    ingress.serve(ingress_object("beside", ["b.test Prefix / s2"]))
    assert ingress.certificate("a.test") == served
    assert [ingress.reached("a.test", tls=True), ingress.reached("b.test")] == ["s1", "s2"]


def test_a_secret_of_another_type_is_told_and_never_read(ingress: Ingress) -> None:
    chain, key = ingress.make_certificate("opaque", "a.test")
    ingress.apply(secret("opaque", "Opaque", {"tls.crt": chain.read_text(), "tls.key": key.read_text()}))
    default = ingress.certificate("wrong.test")
    ingress.serve(ingress_object("opaque", ["a.test Prefix / s1"], tls={"a.test": "opaque"}))
    assert "is not of type kubernetes.io/tls" in ingress.told("Ingress", "opaque", "CertificateBroken")
    assert ingress.certificate("a.test") == default
    assert ingress.reached("a.test", tls=True) == "s1"


def test_an_expired_certificate_is_told_and_served(ingress: Ingress) -> None:
    files = ingress.make_certificate("old", "a.test", days=-1)
    served = ingress.put_secret("old", *files)
    ingress.serve(ingress_object("expired", ["a.test Prefix / s1"], tls={"a.test": "old"}))
    assert "expired at" in ingress.told("Ingress", "expired", "CertificateExpired")
    assert ingress.certificate("a.test") == served


def test_an_unknown_service_or_port_an_invalid_host_and_an_unknown_annotation_are_told(ingress: Ingress) -> None:
    long = "a" * 64  # the API server lets it pass, DNS does not
    rules = [
        "a.test Prefix / s1",
        "a.test Prefix /none nobody",
        "a.test Prefix /port s2:99",
        f"{long}.test Prefix / s3",
    ]
    unknown = {"nginx.ingress.kubernetes.io/auth-type": "basic"}
    ingress.serve(ingress_object("bad", rules, annotations=unknown))
    texts = (f"there is no Service {NAMESPACE}/nobody", f"Service {NAMESPACE}/s2 has no port 99")
    ingress.told("Ingress", "bad", "UnknownBackend", *texts)
    assert long in ingress.told("Ingress", "bad", "InvalidHost")
    assert "auth-type means nothing" in ingress.told("Ingress", "bad", "UnknownAnnotation")
    assert [ingress.reached("a.test", path) for path in ("/", "/none", "/port")] == ["s1", "503", "503"]


def test_of_two_ingresses_with_the_same_host_and_path_the_oldest_wins(ingress: Ingress) -> None:
    ingress.serve(ingress_object("zz-older", ["a.test Prefix /a s1"]))
    time.sleep(1)  # the API server counts an object's age in whole seconds
    ingress.serve(ingress_object("newer", ["a.test Prefix /a s2", "a.test Prefix /b s2"]))
    assert f"older Ingress {NAMESPACE}/zz-older" in ingress.told("Ingress", "newer", "Conflict")
    assert [ingress.reached("a.test", path) for path in ("/a", "/b")] == ["s1", "s2"]
    ingress.delete("ingress", "zz-older")
    eventually(lambda: ingress.reached("a.test", "/a") == "s2")


def test_what_changes_nothing_for_nginx_needs_no_reload(ingress: Ingress) -> None:
    ingress.serve(ingress_object("same", ["a.test Prefix / s1"]))
    before = ingress.metrics()[DONE]
    env = ingress.env
    env.kubectl("-n", NAMESPACE, "annotate", "service", "s1", f"note={time.time()}", "--overwrite")
    env.kubectl("-n", NAMESPACE, "label", "ingress", "same", "note=x")
    env.kubectl("-n", NAMESPACE, "create", "service", "clusterip", "unnamed", "--tcp=80")
    env.kubectl("-n", NAMESPACE, "delete", "service", "unnamed")
    ingress.serve()
    assert ingress.metrics()[DONE] == before + 1


def test_the_200th_ingress_routes_soon(ingress: Ingress) -> None:
    ingress.serve(*(ingress_object(f"many-{n}", [f"many-{n}.test Prefix / s1"]) for n in range(198)))
    assert ingress.metrics()["ingress_ingresses"] >= 199
    took_s = []
    for number in (200, 201, 202):
        begin, host = time.monotonic(), f"number-{number}.test"
        ingress.apply(ingress_object(f"number-{number}", [f"{host} Prefix / s2"]))
        eventually(lambda: ingress.reached(host) == "s2")  # noqa: B023
        took_s.append(time.monotonic() - begin)
    # The promise is 2 s; kubectl's own start is in it too, and the machine may be busy.
    assert min(took_s) < 4
    print(f"the 200th Ingress routed after {took_s[0]:.2f} s")


def test_a_rollout_of_the_api_and_five_reloads_drop_no_request(ingress: Ingress, stack: Environment) -> None:
    before = ingress.metrics()[DONE]
    with Traffic(ingress, "somabrain.internal", "/healthz", each_second=100) as traffic:
        stack.kubectl("-n", STACK, "rollout", "restart", "deployment/somabrain")
        stack.kubectl("-n", STACK, "rollout", "status", "deployment/somabrain", "--timeout=180s")
        for n in range(5):
            ingress.serve(ingress_object("reload", [f"reload{n}.test Prefix / s1"]))
        time.sleep(2)
    assert traffic.failures == []
    assert traffic.sent > 500
    assert ingress.metrics()[DONE] >= before + 5
    print(f"{traffic.sent} requests in {time.monotonic() - traffic.began:.1f} s")


def test_health_and_metrics_are_on_a_port_of_their_own(ingress: Ingress) -> None:
    ingress.serve(ingress_object("counted", ["a.test Prefix / s1"]))
    proxy = f"/api/v1/namespaces/{OWN}/pods/{ingress.pod()}:10254/proxy"
    assert [ingress.env.kubectl("get", "--raw", f"{proxy}/{path}") for path in ("healthz", "readyz")] == ["ok\n"] * 2
    seen = ingress.metrics()
    assert seen["ingress_ingresses"] == 3  # that of the stack, the marker and this one
    assert seen['ingress_nginx_connections{state="active"}'] >= 1
    assert seen["ingress_nginx_requests_total"] > 0
    assert seen[DONE] > 0
