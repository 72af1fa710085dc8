"""A project with nothing but a compose file, and two checkouts of one project beside each other."""

import json
import re
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.cluster.environment import CHECKOUT, MARK, Environment, copied, free_ports

COMPOSE = CHECKOUT / "tests/projects/compose"


@pytest.fixture
def shop(tmp_path: Path, installed: Path) -> Iterator[Environment]:
    """The compose project, without a table; whatever the test brings up is taken down."""
    root = copied(COMPOSE, tmp_path, tuple(path.name for path in COMPOSE.iterdir()))
    env = Environment(f"t{MARK}-compose", root, {"web": free_ports(1)[0]}, installed)
    yield env
    if (env.root / "devenv-stack.toml").exists():
        env.fine("down")


def test_a_compose_project_comes_up_after_init_and_goes_again(shop: Environment) -> None:
    env = shop
    told = env.run("init")
    assert told.returncode == 0, told.stderr
    assert "services.web.volumes.0" in told.stderr
    env.fine("down")  # of a run that was killed
    env.fine("up")
    address = f"http://127.0.0.1:{env.ports['web']}/"
    answers = [httpx.get(address, timeout=30) for _ in range(2)]
    assert [a.status_code for a in answers] == [200, 200]
    assert re.fullmatch(r"1 rows, \d+ in the cache\n", answers[0].text)
    assert re.fullmatch(r"2 rows, \d+ in the cache\n", answers[1].text)
    assert env.plan() == ""
    assert f"WEB_ADDRESS=127.0.0.1:{env.ports['web']}" in env.fine("env")

    # What the claim holds outlives its pod.
    env.kubectl("delete", "pod", "db-0", "--wait=true")
    env.fine("wait", "all", "--timeout", "120s")
    assert httpx.get(address, timeout=30).text.startswith("3 rows")
    env.fine("down", "--yes")
    assert not (env.state / "devenv" / env.name).exists()


def test_two_checkouts_are_up_beside_each_other(tmp_path: Path, installed: Path) -> None:
    source = CHECKOUT / "tests/projects/hello"
    first, second = (copied(source, tmp_path / name, ("pyproject.toml", "app", "k8s")) for name in ("first", "second"))
    # Neither a name nor a port is given from outside.
    both = [Environment("hello", root, {}, installed, {"DEVENV_NAME": ""}) for root in (first, second)]
    try:
        for env in both:
            env.fine("up", "--isolated")
        seen = [env.status() for env in both]
        assert seen[0]["name"] != seen[1]["name"]
        assert all(re.fullmatch("hello-[0-9a-f]{6}", status["name"]) for status in seen)
        for env in both:
            url = str(json.loads(env.fine("env", "--format", "json"))["HELLO_URL"])
            assert 20000 <= int(url.rpartition(":")[2]) < 30000
            assert httpx.get(url, timeout=30).text == "hello\n"
            assert env.plan() == ""
            assert env.fine("test", "smoke") == "hello\n"
        listed = json.loads(both[0].fine("list", "-o", "json"))
        there = {one["checkout"]: one["name"] for one in listed}
        assert [there[str(root)] for root in (first, second)] == [status["name"] for status in seen]
    finally:
        for env in both:
            env.fine("down", "--yes")
    assert not list((both[0].state / "devenv").glob("isolated-*.json"))
