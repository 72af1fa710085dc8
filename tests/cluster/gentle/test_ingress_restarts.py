"""The ingress's containers end and start one by one, and of several replicas one writes status."""

import json
import time

import httpx

from tests.cluster.gentle.test_ingress_changes import DONE
from tests.cluster.ingress import OWN, Ingress
from tests.cluster.objects import ingress_object
from tests.waiting import SOON_S, eventually


def inside(ingress: Ingress, container: str, script: str) -> str:
    words = ("-n", OWN, "exec", ingress.pod(), "-c", container, "--", "sh", "-c", script)
    return ingress.env.kubectl(*words).strip()


def kill(ingress: Ingress, container: str, what: str) -> None:
    """Send a signal a moment later, so that kubectl's own way into the container is not cut."""
    inside(ingress, container, f"{{ sleep 0.3; kill {what}; }} >/dev/null 2>&1 &")


def restarts(ingress: Ingress) -> dict[str, int]:
    pod = json.loads(ingress.env.kubectl("-n", OWN, "get", "pod", ingress.pod(), "-o", "json"))
    return {c["name"]: c["restartCount"] for c in pod["status"]["containerStatuses"]}


def ready(ingress: Ingress) -> None:
    # The pod's own word: the Deployment's comes later.
    ingress.env.kubectl("-n", OWN, "wait", "--for=condition=Ready", f"pod/{ingress.pod()}", "--timeout=60s")


def holder(ingress: Ingress) -> str:
    lease = ("lease", "ingress-nginx-controller", "-o", "jsonpath={.spec.holderIdentity}")
    return ingress.env.kubectl("-n", OWN, "get", *lease)


def test_nginx_has_no_token_and_cannot_write_keys(ingress: Ingress) -> None:
    tokens = "ls /var/run/secrets/kubernetes.io/serviceaccount 2>/dev/null || true"
    assert inside(ingress, "nginx", tokens) == ""
    assert "token" in inside(ingress, "controller", tokens).split()
    assert inside(ingress, "nginx", "touch /run/ingress/certificates/x 2>&1 || true").endswith("Read-only file system")


def test_nginx_is_started_again_where_it_ends_by_itself(ingress: Ingress) -> None:
    ingress.serve(ingress_object("before", ["b.test Prefix / s2"]))
    before, reloads = restarts(ingress), ingress.metrics()[DONE]
    kill(ingress, "nginx", "$(cat /run/ingress/nginx.pid)")
    eventually(lambda: restarts(ingress) == before | {"nginx": before["nginx"] + 1})
    ready(ingress)
    # It has the last configuration without the controller.
    assert ingress.metrics()[DONE] == reloads
    ingress.serve(ingress_object("again", ["a.test Prefix / s1"]))
    assert [ingress.reached("a.test"), ingress.reached("b.test")] == ["s1", "s2"]


def test_a_controller_that_starts_again_finds_nginx_as_it_is(ingress: Ingress) -> None:
    ingress.serve(ingress_object("kept", ["a.test Prefix / s1"]))
    before, default = restarts(ingress), ingress.certificate("wrong.test")
    url = f"http://{ingress.address}:{ingress.ports['http']}/"
    with httpx.Client(headers={"Host": "a.test"}, timeout=SOON_S) as client:
        assert client.get(url).status_code == 200
        kill(ingress, "controller", "-QUIT 1")
        # What is connected is served all the time.
        while restarts(ingress) == before:
            assert client.get(url).status_code == 200
        ready(ingress)
        assert client.get(url).status_code == 200
    assert restarts(ingress) == before | {"controller": before["controller"] + 1}
    assert ingress.metrics().get(DONE, 0) == 0
    assert ingress.certificate("wrong.test") == default
    ingress.serve(ingress_object("new", ["b.test Prefix / s2"]))
    assert ingress.reached("b.test") == "s2"
    assert ingress.metrics()[DONE] >= 1


def test_of_several_replicas_the_holder_of_the_lease_writes_status_and_another_takes_over(ingress: Ingress) -> None:
    deployment = ("-n", OWN, "scale", "deployment/ingress-nginx-controller")
    rolled_out = ("-n", OWN, "rollout", "status", "deployment/ingress-nginx-controller", "--timeout=180s")
    wanted = ingress.given()
    eventually(lambda: holder(ingress) == ingress.pod())
    first = ingress.pod()
    ingress.env.kubectl(*deployment, "--replicas=2")
    try:
        ingress.env.kubectl(*rolled_out)
        assert holder(ingress) == first
        ingress.env.kubectl("-n", OWN, "delete", "pod", first, "--wait=false")
        began = time.monotonic()
        eventually(lambda: holder(ingress) not in ("", first))
        print(f"the Lease has another holder after {time.monotonic() - began:.1f} s")
        ingress.serve(ingress_object("over", ["a.test Prefix / s1"]))
        eventually(lambda: ingress.status("over") == wanted)
        ingress.env.kubectl(*rolled_out)
    finally:
        ingress.env.kubectl(*deployment, "--replicas=1")
        ingress.env.kubectl(*rolled_out)
    eventually(lambda: holder(ingress) == ingress.pod())
