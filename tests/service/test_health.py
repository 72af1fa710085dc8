"""The questions behind /health: many who ask at once get the answers that one would get."""

import asyncio
import time
from collections.abc import Callable
from threading import Event

from somabrain.health import ANSWER_S, Probe

SLOW_S = 0.02


def asked(probe: Probe, questions: list[tuple[Callable[[], object], object]]) -> list[object]:
    async def all_at_once() -> list[object]:
        return await asyncio.gather(*(probe.ask(question, about) for question, about in questions))

    return asyncio.run(all_at_once())


def test_many_who_ask_the_same_at_once_get_one_answer() -> None:
    put: list[float] = []

    def question() -> str:
        put.append(time.monotonic())
        time.sleep(SLOW_S)
        return "yes"

    assert asked(Probe("x"), [(question, "tenant")] * 200) == ["yes"] * 200
    assert len(put) < 200 * SLOW_S / (ANSWER_S / 2)


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
        assert time.monotonic() - begun < 4 * ANSWER_S
    finally:
        hung.set()


def test_an_error_is_no_answer_and_the_next_question_is_put() -> None:
    def fails() -> None:
        raise OSError("gone")

    probe = Probe("x")
    assert asked(probe, [(fails, None)]) == [None]
    assert asked(probe, [(lambda: "back", None)]) == ["back"]
