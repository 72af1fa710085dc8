"""A selector that polls for a moment before it sleeps, while two sockets answer each other and nobody else is heard.

To sleep and be woken takes longer than Redis takes to answer (docs/performance.md). Linux does the same for the idle
core of a virtual machine (its documentation: "Guest halt polling").
"""

from selectors import DefaultSelector, SelectorKey
from time import perf_counter

POLL_S = 100e-6

Ready = list[tuple[SelectorKey, int]]


class BusyPoll(DefaultSelector):
    """Finds what the default selector finds, a dialogue's next word sooner.

    Two sockets are in a dialogue when twice in a row one of the last two that were ready is ready again, alone, within
    `poll_s`: the answer comes as soon as the next question. What comes later, or from others, ends it: then a core that
    polls would be taken from those who have something to do.
    """

    def __init__(self, poll_s: float = POLL_S) -> None:
        super().__init__()
        self.poll_s = poll_s
        self.dialogue = self._soon = False
        self._last = (-1, -1)  # the last two different descriptors that were ready

    def select(self, timeout: float | None = None) -> Ready:
        begun, ready = perf_counter(), Ready()
        while self.dialogue and timeout != 0 and not ready and perf_counter() - begun < self.poll_s:
            ready = super().select(0)
        ready = ready or super().select(timeout)
        if ready:
            self._heard(ready, perf_counter() - begun)
        return ready

    def _heard(self, ready: Ready, waited_s: float) -> None:
        heard = ready[0][0].fd
        known = heard in self._last
        soon = known and len(ready) == 1 and waited_s < self.poll_s
        self.dialogue, self._soon = soon and self._soon, soon
        if not known:
            self._last = (self._last[1], heard)
