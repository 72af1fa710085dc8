"""A selector that polls before it sleeps finds what the default one finds, and polls only where that is worth it."""

import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing
from selectors import EVENT_READ, EVENT_WRITE
from threading import Timer

import pytest

from devenv.forwarder.polling import BusyPoll

QUIET_S = 0.2


@pytest.fixture
def ends() -> Iterator[list[tuple[socket.socket, socket.socket]]]:
    """Pairs of sockets: what the second of a pair sends, the first has to read."""
    with ExitStack() as stack:
        pairs = [socket.socketpair() for _ in range(3)]
        for one in (end for pair in pairs for end in pair):
            stack.enter_context(one)
        yield pairs


def heard(selector: BusyPoll, *ends: tuple[socket.socket, socket.socket]) -> list[int]:
    """Let each pair's first have something to read, select, read it, and return who was ready."""
    for _, there in ends:
        there.send(b"x")
    ready = [key.fd for key, _ in selector.select(1)]
    for here, _ in ends:
        here.recv(1)
    return sorted(ready)


def test_two_sockets_that_answer_each_other_are_polled_for(ends: list[tuple[socket.socket, socket.socket]]) -> None:
    a, b, c = ends
    with closing(BusyPoll(poll_s=60)) as selector:
        for here, _ in ends:
            selector.register(here, EVENT_READ)
        for turn, polls in (
            ([a], False),
            ([b], False),
            ([a], False),
            ([b], True),
            ([a], True),
            ([a], True),
            ([b], True),
            ([c], False),
            ([b], False),
            ([c], True),
            ([b, a], False),
            ([b], False),
        ):
            assert heard(selector, *turn) == sorted(here.fileno() for here, _ in turn)
            assert selector.polls is polls


@pytest.mark.parametrize("polls", [True, False])
def test_a_silence_is_slept_through(ends: list[tuple[socket.socket, socket.socket]], polls: bool) -> None:
    with closing(BusyPoll()) as selector:
        selector.register(ends[0][0], EVENT_READ)
        selector.polls = polls
        used = time.thread_time()
        assert selector.select(QUIET_S) == []
        assert time.thread_time() - used < QUIET_S / 4


def test_the_next_word_of_a_dialogue_is_not_slept_for(ends: list[tuple[socket.socket, socket.socket]]) -> None:
    def used_s() -> float:
        """Return the processor's time that went into waiting for a word: next to nothing in a sleep."""
        with closing(BusyPoll(poll_s=60)) as selector:
            here, there = ends[0]
            selector.register(here, EVENT_READ)
            selector.polls = True
            later = Timer(QUIET_S, there.send, [b"x"])
            later.start()
            used = time.thread_time()
            assert [key.fd for key, _ in selector.select(5)] == [here.fileno()]
            used = time.thread_time() - used
            later.join()
            here.recv(1)
            return used

    # On a machine where much else is going on, it may get little time to poll in.
    assert any(used_s() > QUIET_S / 20 for _ in range(20))


def test_who_was_slow_is_slept_for(ends: list[tuple[socket.socket, socket.socket]]) -> None:
    slow, quick, _ = ends
    with closing(BusyPoll(poll_s=60)) as selector:
        for here, _ in ends:
            selector.register(here, EVENT_READ)
        for one in (slow, quick, slow, quick):
            heard(selector, one)
        assert selector.polls
        selector.poll_s = QUIET_S / 20
        later = Timer(QUIET_S, slow[1].send, [b"x"])
        later.start()
        assert [key.fd for key, _ in selector.select(5)] == [slow[0].fileno()]
        slow[0].recv(1)
        assert selector.polls, "the quick one is next"
        heard(selector, quick)
        assert not selector.polls
        later.join()


def test_a_loop_that_has_other_work_is_not_kept(ends: list[tuple[socket.socket, socket.socket]]) -> None:
    with closing(BusyPoll(poll_s=QUIET_S)) as selector:
        here, _ = ends[0]
        selector.register(here, EVENT_READ | EVENT_WRITE)
        assert [events for _, events in selector.select(1)] == [EVENT_WRITE]
        selector.modify(here, EVENT_READ)
        selector.polls = True
        used = time.thread_time()
        assert selector.select(0) == []
        assert time.thread_time() - used < QUIET_S / 4
