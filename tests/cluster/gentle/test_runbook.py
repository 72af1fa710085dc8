"""The runbook's commands on a stack that is up, each as it stands or as its correction says."""

import re

import pytest

from tests.cluster.environment import Environment
from tests.cluster.runbook import Command, commands
from tests.cluster.service import answers, until

TYPED = [command for command in commands() if command.typed]
FORWARDS = [command for command in commands() if "port-forward " in command.said]


@pytest.mark.parametrize("command", TYPED, ids=lambda c: c.said.splitlines()[0])
def test_a_command_of_the_runbook_does_what_it_is_for(stack: Environment, command: Command) -> None:
    # The runbook's Python is that of the checkout; the stack's folder is a copy of it.
    python = stack.program.parent
    typed = command.at(stack.ports).replace(".venv/bin/pytest", str(python / "pytest"))
    # What the runbook's exports leave out: this stack's memory has not the port that the suite supposes.
    memory = f"export SOMABRAIN_MEMORY_HTTP_ENDPOINT=http://127.0.0.1:{stack.ports['memory']}"
    until(lambda: answers(stack), "the API answers")
    said = stack.shell(f"{command.first}\n{memory}\nPATH={python}:$PATH\n{typed} 2>&1")
    if " delete " in typed:  # others look for it
        stack.fine("up")
    assert re.search(command.shows, said), said


def test_without_devenv_s_forwards_kubectl_s_take_their_place(stack: Environment) -> None:
    stack.fine("forward", "stop")
    # Two of the runbook's name the same port: the second of them has nothing to listen on, and ends.
    started = "\n".join(Command(command.said).at(stack.ports) for command in FORWARDS)
    port = stack.ports["api"]
    script = f"""
    set -m
    export KUBECONFIG={stack.kubeconfig}
    ./scripts/port_forward_api.sh {port} &
    {started}
    trap 'kill $(jobs -p) 2>/dev/null || true' EXIT
    again() {{ for _ in $(seq 30); do "$@" && return; sleep 1; done; return 1; }}
    again curl -sf http://127.0.0.1:{port}/health
    again redis-cli -p {stack.ports["redis"]} ping
    again pg_isready -h 127.0.0.1 -p {stack.ports["postgres"]}
    """
    said = stack.by_itself(script)
    stack.fine("forward", "start")
    assert '"embedder_ok":true' in said.replace(" ", "")
    assert "PONG" in said
    assert "accepting connections" in said
