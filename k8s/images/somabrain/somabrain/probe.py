"""A question to a dependency, put by one thread: many who ask at once get one answer, and nobody waits for long."""

import asyncio
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, TypeVar

T = TypeVar("T")
ANSWER_S = 0.7  # what is left of a second goes to the network and to us


class Probe:
    """Asks one dependency in a thread of its own. While a question is open, no other is put: the same one waits for
    the same answer, so that many who ask at once are not taken for a dependency that is slow."""

    def __init__(self, name: str) -> None:
        self.thread = ThreadPoolExecutor(1, thread_name_prefix=f"probe-{name}")
        self.asking: Future[Any] = Future()
        self.asking.set_result(None)
        self.about: object = None
        self.answered: tuple[object, Any, float] | None = None  # the last answer: to what, and when

    def open(self) -> bool:
        return not self.asking.done()

    async def ask(self, question: Callable[[], T], about: object = None, fresh_s: float = 0.0) -> T | None:
        """The answer; None if it did not come in time or is an error. Equal `about`, equal question.

        An answer that is not older than `fresh_s` is given again.
        """
        now = asyncio.get_running_loop().time
        if self.answered and self.answered[0] == about and now() - self.answered[2] < fresh_s:
            answer: T = self.answered[1]
            return answer
        begun = now()
        end = begun + ANSWER_S / 2
        while self.open() and about != self.about:
            left_s = end - now()
            if left_s <= 0:
                return None
            await asyncio.wait([here(self.asking)], timeout=left_s)
        if not self.open():
            self.asking, self.about = self.thread.submit(question), about
        asked = here(self.asking)
        await asyncio.wait([asked], timeout=ANSWER_S / 2)
        if not asked.done() or asked.exception() is not None:  # whatever it failed with, it did not answer
            return None
        came: T = asked.result()
        self.answered = about, came, begun
        return came


def here(asked: Future[T]) -> asyncio.Future[T]:
    """The answer as this loop waits for it. That it is an error is no news once nobody waits any more."""
    waited = asyncio.wrap_future(asked)
    waited.add_done_callback(lambda done: done.exception())
    return waited
