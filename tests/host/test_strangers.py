"""Projects as strangers have them, with the installed wheel: up, used, nothing left to do, down."""

import time
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest

from devenv.images import builder
from tests.cluster.environment import CHECKOUT, MARK, Environment, copied, docker, free_ports

Brought = Callable[..., Environment]


@pytest.fixture
def brought(tmp_path: Path, installed: Path) -> Iterator[Brought]:
    """Returns a project of tests/projects that is up; it is taken down after the test."""
    there: list[Environment] = []

    def up(name: str, *forwards: str) -> Environment:
        source = CHECKOUT / "tests/projects" / name
        root = copied(source, tmp_path, tuple(p.name for p in source.iterdir()))
        env = Environment(
            f"t{MARK}-{name}", root, dict(zip(forwards, free_ports(len(forwards)), strict=True)), installed
        )
        there.append(env)
        env.fine("down")
        env.fine("up")
        return env

    yield up
    for env in there:
        env.fine("down")


def get(env: Environment, forward: str) -> str:
    return httpx.get(f"http://127.0.0.1:{env.ports[forward]}/", timeout=30).text


def test_a_chart_comes_up_after_its_hooks_and_only_what_changed_runs_again(brought: Brought) -> None:
    env = brought("chart", "web")
    assert get(env, "web") == "hello\n"
    assert env.plan() == ""
    # Of the containers: that they are done is enough for what waits, and the Jobs are counted a moment later.
    ran = "{.items[0].status.containerStatuses[0].state.terminated['startedAt', 'finishedAt']}"
    check, migrate, greet = (
        env.kubectl("get", "pods", "--selector", f"job-name={name}", "-o", f"jsonpath={ran}").split()
        for name in ("check", "migrate", "greet")
    )
    made = env.kubectl("get", "deployment", "web", "-o", "jsonpath={.metadata.creationTimestamp}")
    assert check[1] <= migrate[0] <= migrate[1] <= made <= greet[0]
    assert env.kubectl("logs", "job/migrate").strip() == "hello"

    env.edit("pyproject.toml", 'greeting = "hello"', 'greeting = "again"')
    steps = {line.split("  ")[0].strip() for line in env.plan().splitlines()}
    assert any(step.startswith("run job/migrate") for step in steps)
    assert not any(step.startswith("apply deployment/web") for step in steps)
    env.fine("up")
    assert env.kubectl("logs", "job/migrate").strip() == "again"
    assert env.plan() == ""


def test_stages_and_mounts_are_built_by_buildkit_and_run(brought: Brought) -> None:
    assert builder.buildkit_program(), builder.LACKING
    env = brought("stages", "web")
    assert get(env, "web") == "hello\n"
    assert env.plan() == ""


def test_three_services_and_a_queue_work_together(brought: Brought) -> None:
    env = brought("queue", "api", "worker")
    assert get(env, "api") == "+PONG"
    for _ in range(3):
        httpx.post(f"http://127.0.0.1:{env.ports['api']}/", timeout=30).raise_for_status()
    end = time.monotonic() + 30
    while get(env, "worker") != "3" and time.monotonic() < end:
        time.sleep(0.2)
    assert get(env, "worker") == "3"
    assert env.plan() == ""


def test_ports_that_clash_are_told_before_there_is_a_cluster(tmp_path: Path, installed: Path) -> None:
    root = copied(CHECKOUT / "tests/projects/hello", tmp_path, ("pyproject.toml", "app", "k8s"))
    env = Environment(f"t{MARK}-clash", root, {"web": free_ports(1)[0]}, installed)
    env.edit("k8s/hello.yaml", "- containerPort: 8080", "- {containerPort: 8080, hostPort: 80}")
    env.edit(
        "k8s/hello.yaml", "spec:\n  selector:\n    matchLabels", "spec:\n  replicas: 2\n  selector:\n    matchLabels"
    )
    refused = env.run("up")
    assert refused.returncode == 1
    assert "deployment/hello: 2 pods want hostPort 80, and there is one node" in refused.stderr
    assert docker("ps", "--all", "--quiet", "--filter", f"name={env.node}") == ""
