"""What a person sees of the stack from the outside: logs, events, and the verbs that go into it."""

import json
import signal
import subprocess
import threading
from dataclasses import replace
from pathlib import Path

from tests.cluster.environment import Environment
from tests.cluster.service import NAMESPACE, answers, only, pods, until
from tests.waiting import eventually

API = "deployment/somabrain"


def logs(stack: Environment, *words: str) -> list[dict[str, object]]:
    return [json.loads(line) for line in stack.fine("logs", "-o", "json", *words).splitlines()]


def test_all_containers_speak_in_order_of_time_and_no_password_is_told(stack: Environment) -> None:
    found = logs(stack)
    assert [line["time"] for line in found] == sorted(str(line["time"]) for line in found)
    assert {API, "statefulset/postgres", "job/somabrain-migrate"} <= {line["part"] for line in found}
    assert {line["container"] for line in logs(stack, API)} >= {"somabrain"}
    for line in (stack.root / ".env").read_text().splitlines():
        key, _, value = line.partition("=")
        if "PASSWORD" in key and value:
            assert value not in json.dumps(found)
    # What is printed is what kubectl has of the same container.
    pod = only(stack)
    name = pod["metadata"]["name"]
    whole = stack.kubectl("-n", NAMESPACE, "logs", name, "-c", "somabrain").splitlines()
    ours = [line["text"] for line in logs(stack, API) if line["container"] == "somabrain" and not line["previous"]]
    count = min(len(ours), len(whole), 50)
    assert count
    assert ours[:count] == whole[:count]


def test_logs_go_on_over_a_pod_that_is_replaced(stack: Environment) -> None:
    old = only(stack)
    child, told = stack.start("logs", API, "-f", "--tail", "1", "-o", "json"), list[str]()

    def read() -> None:
        assert child.stdout
        told.extend(iter(child.stdout.readline, ""))

    threading.Thread(target=read, daemon=True).start()
    try:
        eventually(lambda: bool(told))
        stack.kubectl("-n", NAMESPACE, "delete", "pod", old["metadata"]["name"], "--wait=false")
        until(lambda: answers(stack), "the API answers")
        eventually(lambda: any(json.loads(x)["pod"] != old["metadata"]["name"] for x in told), 60)
    finally:
        child.send_signal(signal.SIGINT)
        assert child.wait(30) == 0


def test_events_of_a_pod_that_is_gone_are_told_with_those_of_the_stack(stack: Environment) -> None:
    old = only(stack)
    name = old["metadata"]["name"]
    stack.kubectl("-n", NAMESPACE, "delete", "pod", name, "--wait=true")
    until(lambda: answers(stack), "the API answers")
    found = [json.loads(line) for line in stack.fine("events", "-o", "json").splitlines()]
    assert [event["time"] for event in found] == sorted(event["time"] for event in found)
    assert ("Killing", f"pod/{name}") in {(event["reason"], event["object"]) for event in found}
    assert stack.fine("events").splitlines()[0].split() == ["TIME", "TYPE", "REASON", "OBJECT", "MESSAGE"]


def test_a_command_in_a_pod_has_our_input_and_we_have_its_exit_code(stack: Environment) -> None:
    script = "import sys; print(sys.stdin.read().upper()); sys.exit(7)"
    done = subprocess.run(
        [str(stack.program), "exec", "somabrain", "--", "python3", "-c", script], cwd=stack.root, env=stack.variables,
        input="hello", text=True, capture_output=True, check=False, timeout=60,
    )  # fmt: skip
    assert (done.returncode, done.stdout) == (7, "HELLO\n"), done.stderr


def test_a_restart_gives_new_pods_and_leaves_nothing_to_do(stack: Environment) -> None:
    old = only(stack)
    stack.fine("restart", "somabrain")
    assert answers(stack)
    (new,) = [pod for pod in pods(stack) if not pod["metadata"].get("deletionTimestamp")]
    assert new["metadata"]["uid"] != old["metadata"]["uid"]
    assert stack.plan() == ""


def test_a_page_is_opened_in_the_browser_and_its_address_printed(stack: Environment, tmp_path: Path) -> None:
    browser = tmp_path / "browser"
    browser.write_text(f'#!/bin/sh\necho "$1" > {tmp_path}/seen\n')
    browser.chmod(0o755)
    url = f"http://127.0.0.1:{stack.ports['api']}/docs"
    mine = replace(stack, extra={"BROWSER": f"{browser} %s"})
    assert mine.fine("open", "docs") == f"{url}\n"
    assert (tmp_path / "seen").read_text() == f"{url}\n"
    assert stack.fine("open", "redis") == f"redis://127.0.0.1:{stack.ports['redis']}\n"


def test_the_environment_is_listed_with_its_checkout_and_ports(stack: Environment) -> None:
    (mine,) = [e for e in json.loads(stack.fine("list", "-o", "json")) if e["name"] == stack.name]
    assert (mine["cluster"], mine["served"], mine["ports"]) == ("RUNNING", True, stack.ports)
    assert mine["checkout"] == str(stack.root)
