"""The daily checks: all hold on a stack that is up, and what does not is told with what was asked."""

import json
from typing import Any
from xml.etree import ElementTree

from tests.cluster.environment import Environment
from tests.cluster.service import NAMESPACE

CHECKS = {"postgres", "revision", "schema", "redis", "opa", "health-inside", "health", "adaptation"}


def verified(stack: Environment) -> tuple[int, dict[str, dict[str, Any]]]:
    done = stack.run("verify", "-o", "json")
    assert done.returncode in (0, 1), done.stderr
    return done.returncode, {one["name"]: one for one in json.loads(done.stdout)}


def test_all_holds_on_a_stack_that_is_up(stack: Environment) -> None:
    stack.status()  # a busy machine is late with a probe
    code, found = verified(stack)
    assert {name: one["answer"] for name, one in found.items() if not one["ok"]} == {}
    assert code == 0
    assert CHECKS | {"drift", "handshake", "job/somabrain-migrate", "forward/api"} <= {*found}
    assert found["job/somabrain-migrate"]["answer"] == "Complete"
    assert found["schema"]["answer"] == "the schema is current"
    assert found["redis"]["answer"] == "+PONG"
    suite = ElementTree.fromstring(stack.fine("verify", "-o", "junit")).find("testsuite")  # noqa: S314
    assert suite is not None
    assert (suite.attrib["tests"], suite.attrib["failures"]) == (str(len(found)), "0")


def test_what_does_not_hold_is_told_and_the_rest_is_asked_all_the_same(stack: Environment) -> None:
    try:
        stack.kubectl("-n", NAMESPACE, "scale", "deployment/sb-opa", "--replicas=0")
        stack.kubectl("-n", NAMESPACE, "wait", "--for=delete", "pod", "-l", "app=sb-opa", "--timeout=60s")
        code, found = verified(stack)
        assert code == 1
        assert {name for name in ("opa", "drift", "redis", "postgres", "schema") if not found[name]["ok"]} == {
            "opa",
            "drift",
        }
        assert "deployment/sb-opa" in found["drift"]["answer"]
        assert found["opa"]["hint"] == "devenv explain deployment/sb-opa"
    finally:
        stack.kubectl("-n", NAMESPACE, "scale", "deployment/sb-opa", "--replicas=1")
        stack.fine("wait", "all", "--timeout", "120s")
