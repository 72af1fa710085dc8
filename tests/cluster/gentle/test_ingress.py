"""The ingress as a client sees it: the documented semantics of the Ingress API through the real NGINX."""

import socket
import ssl

import pytest

from tests.cluster import ingress as ingresses
from tests.cluster.ingress import OWN, Ingress
from tests.cluster.objects import NAMESPACE, ingress_object, object_
from tests.waiting import eventually

# The table of examples of the documentation: paths for s1, s2, s3, the request, and who answers.
TABLE = (
    ("Prefix /", "/", "s1"),
    ("Prefix /", "/any/path", "s1"),
    ("Exact /foo", "/foo", "s1"),
    ("Exact /foo", "/bar", "404"),
    ("Exact /foo", "/foo/", "404"),
    ("Exact /foo/", "/foo", "404"),
    ("Exact /foo/", "/foo/", "s1"),
    ("Prefix /foo", "/foo", "s1"),
    ("Prefix /foo", "/foo/", "s1"),
    ("Prefix /foo/", "/foo", "s1"),
    ("Prefix /foo/", "/foo/", "s1"),
    ("Prefix /aaa/bb", "/aaa/bbb", "404"),
    ("Prefix /aaa/bbb", "/aaa/bbb", "s1"),
    ("Prefix /aaa/bbb/", "/aaa/bbb", "s1"),
    ("Prefix /aaa/bbb", "/aaa/bbb/", "s1"),
    ("Prefix /aaa/bbb", "/aaa/bbb/ccc", "s1"),
    ("Prefix /aaa/bbb", "/aaa/bbbxyz", "404"),
    ("Prefix /, Prefix /aaa", "/aaa/ccc", "s2"),
    ("Prefix /, Prefix /aaa, Prefix /aaa/bbb", "/aaa/bbb", "s3"),
    ("Prefix /, Prefix /aaa, Prefix /aaa/bbb", "/ccc", "s1"),
    ("Prefix /aaa", "/ccc", "404"),
    ("Prefix /foo, Exact /foo", "/foo", "s2"),
    ("Exact /Foo", "/foo", "404"),
    ("ImplementationSpecific /foo", "/foo/bar", "s1"),
    ("Prefix /a%20b", "/a%20b/c", "s1"),
)


def test_path_types_match_as_the_table_of_examples_says(ingress: Ingress) -> None:
    rows = [
        [f"row{n}.test {path} s{m}" for m, path in enumerate(paths.split(", "), 1)]
        for n, (paths, _, _) in enumerate(TABLE)
    ]
    ingress.serve(*(ingress_object(f"row{n}", rules) for n, rules in enumerate(rows)))
    got = [(paths, path, ingress.reached(f"row{n}.test", path)) for n, (paths, path, _) in enumerate(TABLE)]
    assert got == list(TABLE)


def test_hosts_are_told_apart_a_wildcard_is_one_label_and_the_rest_is_not_found(ingress: Ingress) -> None:
    rules = ["a.test Prefix / s1", "*.b.test Prefix / s2", "x.b.test Prefix / s3"]
    ingress.serve(ingress_object("hosts", rules))
    asked = ("y.b.test", "x.b.test", "z.y.b.test", "b.test", "A.test", "a.test:8443", "other.test", ingress.address)
    assert [ingress.reached(host) for host in asked] == ["s2", "s3", "404", "404", "s1", "s1", "404", "404"]


def test_a_rule_without_a_host_is_for_all_hosts_that_have_none_of_their_own(ingress: Ingress) -> None:
    ingress.serve(ingress_object("all", ["a.test Prefix / s1", "- Prefix / s2"]))
    assert [ingress.reached(host) for host in ("other.test", ingress.address)] == ["s2", "s2"]


def test_what_nothing_takes_goes_to_the_default_backend(ingress: Ingress) -> None:
    ingress.serve(ingress_object("default", ["a.test Prefix /a s1"], default="s3"))
    assert [ingress.reached("a.test", "/b"), ingress.reached("other.test", "/a")] == ["s3", "s3"]


def test_only_ingresses_of_our_class_are_served(ingress: Ingress) -> None:
    other = ingress_object("other", ["a.test Prefix / s1"])
    other["spec"]["ingressClassName"] = "of-another-controller"
    ingress.serve(other, ingress_object("ours", ["b.test Prefix / s2"]))
    assert [ingress.reached("a.test"), ingress.reached("b.test")] == ["404", "s2"]


def test_requests_are_spread_over_all_endpoints(ingress: Ingress) -> None:
    ingress.serve(ingress_object("spread", ["a.test Prefix / s1"]))
    pods = [ingress.ask("a.test").json()["pod"] for _ in range(20)]
    assert len(set(pods)) == 2


def test_a_backend_without_endpoints_is_unavailable(ingress: Ingress) -> None:
    ingress.serve(ingress_object("none", ["a.test Prefix / s1", "a.test Prefix /none none"]))
    assert ingress.reached("a.test", "/none") == "503"


def test_an_external_name_leads_out_of_its_namespace_only_where_the_controller_is_told_so(ingress: Ingress) -> None:
    names = {
        "alias": f"s1.{NAMESPACE}.svc.cluster.local",
        "again": f"alias.{NAMESPACE}.svc.cluster.local",
        "others": f"somabrain.{OWN}.svc.cluster.local",
        "metadata": "169.254.169.254",
    }
    for name, to in names.items():
        ingress.apply(object_("v1", "Service", name, spec={"type": "ExternalName", "externalName": to}))
    ingress.serve(ingress_object("names", [f"a.test Prefix /{name} {name}" for name in names]))
    eventually(lambda: ingress.reached("a.test", "/alias") == "s1")
    eventually(lambda: ingress.reached("a.test", "/again") == "s1")
    assert ingress.reached("a.test", "/others") == "503"
    assert ingress.reached("a.test", "/metadata") == "503"
    eventually(lambda: ingress.ask("somabrain.internal", "/health", tls=True).json()["ok"] is True)


def test_each_host_has_its_certificate_and_a_wrong_host_is_not_found_with_the_default_one(ingress: Ingress) -> None:
    served = {h: ingress.put_secret(h, *ingress.make_certificate(h, f"{h}.test")) for h in ("a", "b")}
    rules = [f"{host}.test Prefix / s1" for host in ("a", "b", "c")]
    ingress.serve(ingress_object("tls", rules, tls={"a.test": "a", "b.test": "b"}))
    eventually(lambda: ingress.certificate("b.test") == served["b"])
    assert ingress.certificate("a.test") == served["a"]
    default = ingress.certificate("wrong.test")
    assert default not in served.values()
    assert ingress.certificate("c.test") == default
    assert ingress.ask("wrong.test", tls=True).status_code == 404
    assert ingress.ask("c.test", tls=True).status_code == 200
    trusting = ssl.create_default_context(cafile=str(ingress.folder / "a.crt"))
    ingress.handshake("a.test", trusting).close()


@pytest.mark.parametrize(
    ("version", "taken"),
    [
        (ssl.TLSVersion.TLSv1, False),
        (ssl.TLSVersion.TLSv1_1, False),
        (ssl.TLSVersion.TLSv1_2, True),
        (ssl.TLSVersion.TLSv1_3, True),
    ],
)
@pytest.mark.filterwarnings("ignore:ssl.TLSVersion:DeprecationWarning")
def test_tls_is_of_version_1_2_or_1_3(ingress: Ingress, version: ssl.TLSVersion, taken: bool) -> None:
    context = unrestricted()
    context.minimum_version = context.maximum_version = version
    try:
        ingress.handshake("a.test", context).close()
        seen = True
    except ssl.SSLError:
        seen = False
    assert seen is taken


def unrestricted() -> ssl.SSLContext:
    context = ingresses.make_unverified()
    context.set_ciphers("ALL:@SECLEVEL=0")
    return context


def test_http_leads_to_https_where_there_is_tls_unless_an_annotation_says_otherwise(ingress: Ingress) -> None:
    ingress.put_secret("a", *ingress.make_certificate("a", "*.test"))
    off = {"nginx.ingress.kubernetes.io/ssl-redirect": "false"}
    on = ingress_object("on", ["a.test Prefix / s1"], tls={"a.test": "a"})
    ingress.serve(on, ingress_object("off", ["b.test Prefix / s1"], tls={"b.test": "a"}, annotations=off))
    assert ingress.reached("b.test") == "s1"
    led = ingress.ask("a.test", "/x/y?z=1")
    assert (led.status_code, led.headers["location"]) == (308, "https://a.test/x/y?z=1")
    assert ingress.reached("a.test", tls=True) == "s1"


def test_annotations_set_body_size_timeouts_and_hsts(ingress: Ingress) -> None:
    annotations = {
        "nginx.ingress.kubernetes.io/proxy-body-size": "2k",
        "nginx.ingress.kubernetes.io/proxy-read-timeout": "1",
        "ingress.devenv.local/hsts": "max-age=31536000; includeSubDomains",
    }
    changed = ingress_object("set", ["a.test Prefix / s1"], annotations=annotations)
    ingress.serve(changed, ingress_object("unset", ["b.test Prefix / s1"]))
    sizes = [ingress.ask("a.test", method="POST", content=b"x" * n).status_code for n in (2048, 2049)]
    assert sizes == [200, 413]
    assert ingress.reached("a.test", "/?sleep=3", tls=True) == "504"
    assert ingress.reached("b.test", "/?sleep=2", tls=True) == "s1"
    header = "strict-transport-security"
    assert ingress.ask("a.test", tls=True).headers[header] == "max-age=31536000; includeSubDomains"
    assert header not in ingress.ask("a.test").headers
    assert header not in ingress.ask("b.test", tls=True).headers


def test_no_answer_tells_the_server_s_version(ingress: Ingress) -> None:
    answers = [ingress.ask("wrong.test", tls=tls) for tls in (False, True)]
    assert [a.headers["server"] for a in answers] == ["nginx", "nginx"]
    assert all("nginx/" not in a.text for a in answers)


def test_the_backend_hears_of_the_client_and_never_what_a_client_says_of_itself(ingress: Ingress) -> None:
    ingress.serve(ingress_object("headers", ["a.test Prefix / s1"]))
    lies = {"X-Forwarded-For": "192.0.2.1", "X-Real-IP": "192.0.2.1", "X-Forwarded-Proto": "gopher"}
    with socket.create_connection((ingress.address, ingress.ports["http"])) as probe:
        here = probe.getsockname()[0]
    for tls, port, scheme in ((False, "80", "http"), (True, "443", "https")):
        heard = ingress.ask("a.test", "/p?q=%20", tls=tls, headers=lies).json()
        expected = {"x-forwarded-for": here, "x-real-ip": here, "x-forwarded-proto": scheme}
        expected |= {"x-forwarded-port": port, "x-forwarded-host": "a.test", "host": "a.test"}
        assert {name: heard["headers"].get(name) for name in expected} == expected
        assert heard["path"] == "/p?q=%20"
        assert len(heard["headers"]["x-request-id"]) == 32
    named = ingress.ask("a.test", headers={"X-Request-ID": "mine"}).json()
    assert named["headers"]["x-request-id"] == "mine"


def test_an_upgraded_connection_carries_bytes_both_ways(ingress: Ingress) -> None:
    ingress.serve(ingress_object("socket", ["a.test Prefix / s1"]))
    with ingress.handshake("a.test", ingresses.unverified()) as connection:
        connection.sendall(b"GET /ws HTTP/1.1\r\nHost: a.test\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n")
        head = b""
        while b"\r\n\r\n" not in head:
            head += connection.recv(4096)
        assert head.startswith(b"HTTP/1.1 101 ")
        for text in (b"one", b"two" * 1000):
            connection.sendall(text)
            back = b""
            while len(back) < len(text):
                back += connection.recv(4096)
            assert back == text


def test_the_status_of_an_ingress_is_the_address_of_the_service(ingress: Ingress) -> None:
    wanted = ingress.given()
    ingress.serve(ingress_object("status", ["a.test Prefix / s1"]))
    eventually(lambda: ingress.status("status") == wanted)
    assert wanted in ingress.env.kubectl("-n", OWN, "get", "ingress", "somabrain-ingress", "-o", "wide")
