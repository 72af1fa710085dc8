"""devenv open: the addresses of what the environment serves on this machine."""

from collections.abc import Mapping
from dataclasses import dataclass

from devenv.errors import DevenvError, UsageError
from devenv.forwarder.spec import LOST, OPEN, ForwardStatus
from devenv.project import sources, stack
from devenv.project.schema import Forward
from devenv.project.settings import Settings, forwards_in
from devenv.reconcile import forwards, observe
from devenv.reconcile.environment import Environment


@dataclass(frozen=True)
class Address:
    """Where a name leads. `forwards` are those that have to be open for it."""

    url: str
    forwards: tuple[str, ...]

    @property
    def is_page(self) -> bool:
        """Whether a browser can show it."""
        return self.url.startswith(("http://", "https://"))


def find(env: Environment, name: str) -> Address:
    """Return where a name leads. Raise UsageError for one that is not there, DevenvError where nothing answers."""
    known = addresses(env.settings)
    if name not in known:
        raise UsageError(f"nothing here is named {name}; there are: {', '.join(known) or 'none'}")
    if rests := observe.at_rest(env):
        raise observe.not_running(env, rests)
    if why := closed(known[name], forwards.status(env.folder)):
        raise DevenvError(f"{why}\nhint: devenv status")
    return known[name]


def addresses(settings: Settings) -> dict[str, Address]:
    """Return all addresses by their names: those of the table's `open`, and the forwards."""
    project = settings.project
    env_file, _ = sources.environment(settings)
    named = stack.substituted(settings, project.open, env_file, "")
    pages = {name: Address(url, forwards_in(project.open[name])) for name, url in named.items()}
    return {**{name: Address(url_of(f), (name,)) for name, f in project.forwards.items()}, **pages}


def url_of(forward: Forward) -> str:
    """Return the address of a forward, whose protocol its probe tells."""
    word = forward.probe.partition(" ")[0]
    scheme = {"tls": "https", "postgres": "postgresql"}.get(word, word)
    return f"{scheme}://127.0.0.1:{forward.local_port}" + ("/" if scheme in ("http", "https") else "")


def closed(address: Address, seen: list[ForwardStatus]) -> str:
    """Return which forward on the way does not answer, and why, or an empty string."""
    there: Mapping[str, ForwardStatus] = {f.name: f for f in seen}
    for name in address.forwards:
        state, reason = (there[name].state, there[name].reason) if name in there else (LOST, "no process serves it")
        if state != OPEN:
            return f"forward {name} is {state}: {reason}"
    return ""
