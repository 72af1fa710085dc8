"""What a person sees of the stack from the outside: logs, events, and the verbs that go into it."""

import json
import signal
import threading

from tests.cluster.environment import Environment
from tests.cluster.service import NAMESPACE, answers, pods, until
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
    (pod,) = pods(stack)
    name = pod["metadata"]["name"]
    whole = stack.kubectl("-n", NAMESPACE, "logs", name, "-c", "somabrain").splitlines()
    ours = [line["text"] for line in logs(stack, API) if line["container"] == "somabrain" and not line["previous"]]
    count = min(len(ours), len(whole), 50)
    assert count
    assert ours[:count] == whole[:count]


def test_logs_go_on_over_a_pod_that_is_replaced(stack: Environment) -> None:
    (old,) = pods(stack)
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
    (old,) = pods(stack)
    name = old["metadata"]["name"]
    stack.kubectl("-n", NAMESPACE, "delete", "pod", name, "--wait=true")
    until(lambda: answers(stack), "the API answers")
    found = [json.loads(line) for line in stack.fine("events", "-o", "json").splitlines()]
    assert [event["time"] for event in found] == sorted(event["time"] for event in found)
    assert ("Killing", f"pod/{name}") in {(event["reason"], event["object"]) for event in found}
    assert stack.fine("events").splitlines()[0].split() == ["TIME", "TYPE", "REASON", "OBJECT", "MESSAGE"]
