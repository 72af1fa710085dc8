"""How much of a process one tenant may hold: so many requests at a time, the rest of its own wait for their turn.

The threads serve all tenants. Whoever asks faster than it is answered waits for itself; the others go on.
"""

import asyncio
from dataclasses import dataclass, field

from starlette.types import Message, Send

from somabrain.deadline import left_s
from somabrain.errors import Refused

WAITING = 64  # of one tenant; a burst of its own waits, a flood is refused
PATIENCE_S = 10.0
RETRY_AFTER_S = 1


@dataclass
class Share:
    """The turns of one tenant. Whoever holds or awaits one is counted in `asking`."""

    turns: asyncio.Semaphore
    asking: int = 0


@dataclass
class Turn:
    """One request's turn. It ends once, however often that is said."""

    shares: "Shares"
    tenant: str
    share: Share
    ended: bool = False

    def end(self) -> None:
        if not self.ended:
            self.ended = True
            self.share.turns.release()
            self.shares.leave(self.tenant, self.share)

    def ending_with(self, send: Send) -> Send:
        """Return a channel that ends the turn when the answer begins: who reads it slowly holds no thread."""

        async def ending(message: Message) -> None:
            if message["type"] == "http.response.start":
                self.end()
            await send(message)

        return ending


@dataclass
class Shares:
    """The turns of all tenants that ask at the moment."""

    most: int
    waiting: int = WAITING
    patience_s: float = PATIENCE_S
    shares: dict[str, Share] = field(default_factory=dict)

    async def turn(self, tenant: str, until: float | None = None) -> Turn:
        """Wait for a turn and return it. Refused if too many of the tenant wait, or too long, or until the deadline."""
        share = self.shares.setdefault(tenant, Share(asyncio.Semaphore(self.most)))
        if share.asking >= self.most + self.waiting:
            raise crowded()
        share.asking += 1
        try:
            left = left_s(until)
            await asyncio.wait_for(
                share.turns.acquire(), self.patience_s if left is None else min(left, self.patience_s)
            )
        except TimeoutError:
            self.leave(tenant, share)
            left_s(until)
            raise crowded() from None
        except BaseException:
            self.leave(tenant, share)
            raise
        return Turn(self, tenant, share)

    def leave(self, tenant: str, share: Share) -> None:
        share.asking -= 1
        if not share.asking:
            del self.shares[tenant]


def crowded() -> Refused:
    return Refused(429, "too many requests at the same time", RETRY_AFTER_S)
