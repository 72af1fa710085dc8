"""devenv verify: what is to hold of a stack that is up, asked at once: parts, forwards, certificate, drift, checks."""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from time import monotonic

from devenv.commands import asking, certificate, status
from devenv.commands.asking import Question
from devenv.errors import DevenvError
from devenv.forwarder.spec import OPEN
from devenv.kube.readiness import Level
from devenv.project import sources
from devenv.reconcile import observe
from devenv.reconcile.environment import Environment
from devenv.reconcile.plan import make_plan
from devenv.system import masking

AT_ONCE = 16
SHOWN = 300  # characters of an answer


@dataclass(frozen=True)
class Result:
    """What was asked, what was answered, how long that took; and what to do where it is not well."""

    name: str
    asked: str
    ok: bool
    answer: str
    seconds: float
    hint: str = ""


def verify(env: Environment) -> list[Result]:
    """Ask everything at the same time, each within a limit of its own. Raise DevenvError where no cluster runs."""
    asked = asking.questions(env)
    observe.require_answers(env)
    with ThreadPoolExecutor(AT_ONCE) as pool:
        own = pool.submit(timed, lambda: parts(env))
        served = pool.submit(timed, lambda: handshake(env)) if env.project.tls else None
        theirs = [pool.submit(timed, lambda n=n, q=q: [checked(env, n, q)]) for n, q in asked.items()]  # type: ignore[misc]
        return [r for future in (own, *([served] if served else []), *theirs) for r in future.result()]


def timed(look: Callable[[], list[Result]]) -> list[Result]:
    """Return results with the time that it took to see them."""
    began = monotonic()
    found = look()
    took = round(monotonic() - began, 3)
    return [Result(r.name, r.asked, r.ok, r.answer, took, r.hint) for r in found]


def parts(env: Environment) -> list[Result]:
    """Return what one snapshot shows: what is waited for, the forwards, and what `up` has left to do."""
    desired = sources.load(env.settings)
    try:
        observed = observe.snapshot(desired, env)
    except DevenvError as error:  # the checks may still say more
        return [Result("state", "what is there", False, " ".join(str(error).split()), 0.0, "devenv status")]
    left = make_plan(desired, observed)
    seen = status.report(env, desired, observed, left)
    return [*workloads(seen), *forwards(seen), drift([f"{step.name}: {step.cause}" for step in left])]


def workloads(seen: status.Status) -> Iterator[Result]:
    for w in seen.workloads:
        well = w["state"] == Level.READY.name
        kind = "Complete" if w["name"].startswith("job/") else "ready"
        answer = kind if well else f"{w['state']}: {w['why']}"
        yield Result(w["name"], f"is it {kind}", well, answer, 0.0, "" if well else f"devenv explain {w['name']}")


def forwards(seen: status.Status) -> Iterator[Result]:
    for f in seen.forwards:
        well = f.state == OPEN
        asked = f"127.0.0.1:{f.local_port} to {f.service} ({f.probe})"
        answer = f.state if well else f"{f.state}: {f.reason}"
        yield Result(f"forward/{f.name}", asked, well, answer, 0.0, "" if well else "devenv forward status")


def drift(left: list[str]) -> Result:
    told = f"{len(left)} step{'s' if len(left) > 1 else ''}: {'; '.join(left)}" if left else "nothing to do"
    return Result("drift", "what has devenv up left to do", not left, told, 0.0, "devenv plan" if left else "")


def handshake(env: Environment) -> list[Result]:
    tls = certificate.table(env)
    asked = f"TLS handshake for {tls.host}"
    try:
        seen = certificate.look(env, tls)
    except DevenvError as error:
        return [Result("handshake", asked, False, str(error), 0.0, "devenv tls status")]
    told = f"the certificate of secret {tls.secret}, by {seen.address}" if seen.done else seen.why
    return [Result("handshake", asked, seen.done, told, 0.0, "" if seen.done else "devenv tls status")]


def checked(env: Environment, name: str, asked: Question) -> Result:
    answer, why = asking.ask(env, asked)
    told = masking.masked(why or " ".join(answer.text.split()) or "ok")  # before it is cut: a part is not known for one
    told = told if len(told) <= SHOWN else f"{told[: SHOWN - 1]}…"
    return Result(name, asked.asked, not why, told, 0.0, asked.check.hint if why else "")
