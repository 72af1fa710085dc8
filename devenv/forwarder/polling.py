"""A selector that polls briefly before it sleeps, while just two sockets answer each other.

Sleeping and being woken takes longer than Redis takes to answer (docs/decisions/polling.md). Linux does the same for
the idle core of a virtual machine (its documentation: "Guest halt polling").
"""

from selectors import DefaultSelector, SelectorKey
from time import perf_counter

POLL_S = 100e-6

Ready = list[tuple[SelectorKey, int]]


class BusyPoll(DefaultSelector):
    """Finds what the default selector finds, a dialogue's next word sooner.

    Two sockets are in a dialogue while they are ready in turn, each alone. One that was ready within `poll_s` the last
    time is polled for; one that was slower is slept for, and where others are heard all are: a core that polls would
    be taken from those who have something to do.
    """

    def __init__(self, poll_s: float = POLL_S) -> None:
        super().__init__()
        self.poll_s = poll_s
        self.polls = False
        self._two = (-1, -1)  # the last two descriptors that were ready, the latest first
        self._soon = (False, False)  # whether each was so within `poll_s`

    def select(self, timeout: float | None = None) -> Ready:
        begun, ready = perf_counter(), Ready()
        while self.polls and timeout != 0 and not ready and perf_counter() - begun < self.poll_s:
            ready = super().select(0)
        ready = ready or super().select(timeout)
        if ready:
            self._heard(ready, perf_counter() - begun)
        return ready

    def _heard(self, ready: Ready, waited_s: float) -> None:
        heard, (latest, other) = ready[0][0].fd, self._two
        if len(ready) > 1 or heard not in self._two:
            self._two, self._soon = (heard, latest), (False, False)
        else:
            if heard == other:
                self._two, self._soon = self._two[::-1], self._soon[::-1]
            self._soon = (waited_s < self.poll_s, self._soon[1])
        self.polls = self._soon[1]  # the other one is next
