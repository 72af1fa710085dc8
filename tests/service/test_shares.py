"""How much of a process one tenant may hold, over real tasks."""

import asyncio
from collections.abc import Coroutine
from time import monotonic
from typing import Any

import pytest
from somabrain.errors import Refused
from somabrain.shares import Shares


def run(scenario: Coroutine[Any, Any, None]) -> None:
    asyncio.run(asyncio.wait_for(scenario, 30))


@pytest.mark.parametrize("most", [1, 2, 5])
def test_no_more_than_a_tenant_s_share_runs_at_a_time(most: int) -> None:
    async def scenario() -> None:
        shares, running, seen, order = Shares(most), 0, list[int](), list[int]()

        async def ask(number: int) -> None:
            nonlocal running
            turn = await shares.turn("a")
            running += 1
            order.append(number)
            seen.append(running)
            await asyncio.sleep(0.01)
            running -= 1
            turn.end()
            turn.end()  # that it has ended may be said twice

        await asyncio.gather(*(ask(number) for number in range(12)))
        assert max(seen) == most
        assert order == list(range(12))
        assert shares.shares == {}

    run(scenario())


def test_a_flood_is_refused_and_the_others_go_on() -> None:
    async def scenario() -> None:
        shares = Shares(2, waiting=3)
        held = [await shares.turn("a") for _ in range(2)]
        waiting = [asyncio.create_task(shares.turn("a")) for _ in range(3)]
        await asyncio.sleep(0)
        with pytest.raises(Refused, match="too many requests at the same time") as raised:
            await shares.turn("a")
        assert (raised.value.status, raised.value.retry_after_s) == (429, 1)
        (await asyncio.wait_for(shares.turn("b"), 0.1)).end()
        for turn in held:
            turn.end()
        for task in waiting:
            (await task).end()
        assert shares.shares == {}

    run(scenario())


def test_patience_has_an_end() -> None:
    async def scenario() -> None:
        shares = Shares(1, patience_s=0.05)
        held = await shares.turn("a")
        with pytest.raises(Refused) as raised:
            await shares.turn("a")
        assert raised.value.status == 429
        held.end()
        (await shares.turn("a")).end()
        assert shares.shares == {}

    run(scenario())


def test_a_deadline_ends_the_wait_for_a_turn() -> None:
    async def scenario() -> None:
        shares = Shares(1)
        held = await shares.turn("a")
        for left in (0.05, -1.0):
            with pytest.raises(Refused, match="deadline exceeded"):
                await shares.turn("a", monotonic() + left)
        held.end()
        assert shares.shares == {}

    run(scenario())


def test_a_client_that_is_gone_leaves_its_place() -> None:
    async def scenario() -> None:
        shares = Shares(1)
        held = await shares.turn("a")
        gone = asyncio.create_task(shares.turn("a"))
        await asyncio.sleep(0)
        gone.cancel()
        with pytest.raises(asyncio.CancelledError):
            await gone
        held.end()
        (await shares.turn("a")).end()
        assert shares.shares == {}

    run(scenario())
