"""The copy of the runbook's commands: whatever is not run word for word says why."""

import pytest

from tests.cluster.runbook import Command, commands

PORTS = {"api": 1, "redis": 2, "postgres": 3, "https": 4}


@pytest.mark.parametrize("command", commands(), ids=lambda c: c.said.splitlines()[0])
def test_a_command_is_run_as_it_stands_or_says_why_not(command: Command) -> None:
    assert (command.run is not None) == bool(command.why)
    assert command.run != command.said
    assert bool(command.typed) or not (command.first or command.shows)


def test_only_the_ports_of_this_machine_are_replaced_by_a_test_s_own() -> None:
    def at(said: str) -> str:
        return Command(said).at(PORTS)

    assert (
        at("kubectl port-forward svc/somabrain-test 9696:9696 &") == "kubectl port-forward svc/somabrain-test 1:9696 &"
    )
    assert at("kubectl port-forward svc/postgres 55432:5432 &") == "kubectl port-forward svc/postgres 3:5432 &"
    assert at("redis://127.0.0.1:6379/0") == "redis://127.0.0.1:2/0"
    assert at("--resolve x:9999:127.0.0.1 https://x:9999/health") == "--resolve x:4:127.0.0.1 https://x:4/health"
    assert at("./scripts/port_forward_api.sh") == "./scripts/port_forward_api.sh 1"
