"""The questions behind /health: many who ask at once get the answers that one would get."""

import asyncio
import time
from collections.abc import Callable
from threading import Event

import pytest
from somabrain import probe as probes
from somabrain.findings import Findings
from somabrain.probe import ANSWER_S, Probe
from somabrain.schema import Standing

SLOW_S = 0.02


@pytest.fixture
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine that is busy with other tests answers late, and no less rightly."""
    monkeypatch.setattr(probes, "ANSWER_S", 30.0)


def asked(probe: Probe, questions: list[tuple[Callable[[], object], object]]) -> list[object]:
    async def all_at_once() -> list[object]:
        return await asyncio.gather(*(probe.ask(question, about) for question, about in questions))

    return asyncio.run(all_at_once())


@pytest.mark.usefixtures("patient")
def test_many_who_ask_the_same_at_once_get_one_answer() -> None:
    put: list[float] = []

    def question() -> str:
        put.append(time.monotonic())
        time.sleep(SLOW_S)
        return "yes"

    assert asked(Probe("x"), [(question, "tenant")] * 200) == ["yes"] * 200
    assert len(put) < 200 * SLOW_S / (ANSWER_S / 2)


@pytest.mark.usefixtures("patient")
def test_each_gets_the_answer_to_its_own_question() -> None:
    def question(name: str) -> Callable[[], str]:
        return lambda: name

    names = [f"tenant-{n % 5}" for n in range(50)]
    assert asked(Probe("x"), [(question(name), name) for name in names]) == names


def test_while_a_question_hangs_no_other_is_put_and_nobody_waits_for_long() -> None:
    hung, put = Event(), []

    def question() -> None:
        put.append("once")
        hung.wait()

    probe, begun = Probe("x"), time.monotonic()
    try:
        assert asked(probe, [(question, "a"), (question, "a"), (question, "b")]) == [None, None, None]
        assert asked(probe, [(question, "a")]) == [None]
        assert put == ["once"]
        assert time.monotonic() - begun < 20 * ANSWER_S  # nobody answers ever
    finally:
        hung.set()


def test_an_error_is_no_answer_and_the_next_question_is_put() -> None:
    def fails() -> None:
        raise OSError("gone")

    probe = Probe("x")
    assert asked(probe, [(fails, None)]) == [None]
    assert asked(probe, [(lambda: "back", None)]) == ["back"]


@pytest.mark.usefixtures("patient")
def test_a_fresh_answer_is_given_again_and_an_old_one_is_not() -> None:
    answers = iter("abc")

    async def three_times() -> list[str | None]:
        probe = Probe("x")
        first = [await probe.ask(lambda: next(answers), fresh_s=30.0) for _ in range(2)]
        return [*first, await probe.ask(lambda: next(answers), fresh_s=0.0)]

    assert asyncio.run(three_times()) == ["a", "a", "b"]


SCHEMAS = {
    None: ("postgres", False),
    Standing.BEHIND: ("schema", False),
    Standing.BEYOND: ("schema", False),
    Standing.AHEAD: ("schema-ahead", True),
    Standing.CURRENT: ("", True),
}


@pytest.mark.parametrize("schema", SCHEMAS)
@pytest.mark.parametrize("items", [None, 3])
@pytest.mark.parametrize("redis", [False, True])
@pytest.mark.parametrize("opa", [None, False, True])
@pytest.mark.parametrize("required", [False, True])
def test_each_alert_is_told_and_only_what_all_need_makes_it_unready(
    schema: Standing | None, items: int | None, redis: bool, opa: bool | None, required: bool
) -> None:
    found = Findings(schema, items, redis, opa, required)
    alert, usable = SCHEMAS[schema]
    wanted = {
        alert,
        "" if redis else "redis",
        "opa" if opa is False else "",
        "items" if usable and items is None else "",
    }
    assert set(found.alerts()) == wanted - {""}
    assert found.ready() is (usable and redis and not (required and opa is False))
