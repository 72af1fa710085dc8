"""devenv env and devenv test: the exported settings, and a suite run with them."""

import os
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from uuid import uuid4

from devenv.certificates import trust
from devenv.commands import forward, override
from devenv.errors import DevenvError, UsageError
from devenv.forwarder.spec import AUTO
from devenv.kube import client
from devenv.kube.readiness import Level, Readiness
from devenv.project import sources, stack
from devenv.project.schema import Suite as Table
from devenv.reconcile import forwards, observe
from devenv.reconcile.environment import Environment
from devenv.system import process, state

Log = Callable[[str], None]
ANSWERS_WITHIN_S, SOON_S = 30.0, 0.5


def exports(env: Environment, log: Log, more: Mapping[str, str] | None = None) -> dict[str, str]:
    """Return the exported settings, once every local port was seen to lead to a pod of this cluster that answers.

    `more` are settings of the caller's own, which may refer to the same.
    """
    prove(env, log)
    return values(env, more or {})


def prove(env: Environment, log: Log) -> None:
    """See every local port lead to a pod of this cluster that answers. Raise DevenvError with what is there instead."""
    if not env.folder.kubeconfig.exists():
        observe.require_running(env)
        env.provider.write_kubeconfig()
    if env.project.forwards:
        if not state.is_locked(env.folder.forwards_lock) and env.folder.forwards.exists():
            forward.start(env, AUTO, log)
        # A pod that is being replaced is back in a moment; a connection would be held for as long.
        seen = opened_soon(env)
        if seen is None:
            observe.require_running(env)
        if moved := forwards.moved(env.folder, env.project):
            raise DevenvError("\n".join([*moved, "hint: devenv up"]))
        # Straight to the node, forwards are open whether its API server answers or not.
        if not env.provider.shared and not client.answers(env.folder):
            observe.require_answers(env)
        forward.prove(env, ANSWERS_WITHIN_S, "devenv up")
    else:
        observe.require_running(env)


def values(env: Environment, more: Mapping[str, str]) -> dict[str, str]:
    """Return the settings themselves, `more` after the project's own."""
    trusted = trust.exports(env.folder) if env.project.tls else {}
    env_file, _ = sources.environment(env.settings)
    run = uuid4().hex[:8]
    settings, own = (stack.substituted(env.settings, s, env_file, run) for s in (env.project.env, more))
    return {**trusted, **settings, "KUBECONFIG": str(env.folder.kubeconfig), **own}


def opened_soon(env: Environment) -> Readiness | None:
    """Return that every forward is open; None where that is not soon seen: of a node that stands still, forwards take
    their time to find out.
    """
    opened = ThreadPoolExecutor().submit(observe.forwards_open, env)
    with suppress(TimeoutError):
        if (seen := opened.result(SOON_S)).level is Level.READY:
            return seen
    return None


@dataclass(frozen=True)
class Suite:
    """A test suite, ready to be run."""

    argv: list[str]
    environment: dict[str, str]
    folder: Path


def known(env: Environment, name: str) -> Table:
    """Return a suite as the table has it. Raise UsageError where it has none of this name."""
    suites = env.project.tests
    if name not in suites:
        raise UsageError(f"no suite {name} in [tool.devenv.tests]; there are: {', '.join(suites) or 'none'}")
    return suites[name]


def replaced(env: Environment) -> list[str]:
    """Return the files that are not the image's own, each with why, as far as the API server tells."""
    today = datetime.now(UTC).date()
    with suppress(DevenvError):
        return [one.said(today) for one in override.known(env)]
    return []


def suite(env: Environment, name: str, args: list[str], junit: Path | None, log: Log) -> Suite:
    """Return what runs a test suite against the stack."""
    table = known(env, name)
    report = [f"--junit-xml={junit.resolve()}"] if junit else []
    argv = [*table.run, *report, *args]
    values = exports(env, log, table.env)
    environment = {**os.environ, "PATH": process.search_path(), **values}
    return Suite([process.find(argv[0]), *argv[1:]], environment, env.settings.root)
