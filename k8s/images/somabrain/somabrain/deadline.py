"""How long a request may take: X-Deadline-MS, counted from its arrival, and 30 s at most.

What cannot be done in time is refused, and nothing of it is kept. A commit ends the deadline: after it, the answer is
what was done.
"""

from contextvars import ContextVar
from math import ceil, isfinite
from time import monotonic

from sqlalchemy import Connection, Engine, event
from sqlalchemy.engine import ExceptionContext

from somabrain.database import ANSWER_S
from somabrain.errors import Refused

LONGEST_S = 30.0  # no request holds a thread for longer, however many statements it needs
# Of the request that is served here: a thread that works for it sees the same.
UNTIL: ContextVar[float | None] = ContextVar("UNTIL", default=None)


def until(header: str | None, arrived: float) -> float:
    """Return the moment at which a request must be done. A header that is no positive number says nothing."""
    try:
        told_s = float(header or "0") / 1000
    except ValueError:
        told_s = 0.0
    return arrived + (min(told_s, LONGEST_S) if isfinite(told_s) and told_s > 0 else LONGEST_S)


def left_s(moment: float | None) -> float | None:
    """Return the seconds until then, or None where there is no such moment. Refused if it has passed."""
    if moment is None:
        return None
    left = moment - monotonic()
    if left <= 0:
        raise exceeded()
    return left


def exceeded() -> Refused:
    return Refused(503, "deadline exceeded")


def keep(engine: Engine) -> None:
    """Let every transaction on this engine keep the deadline of the request that it works for."""

    @event.listens_for(engine, "begin")
    def begin(connection: Connection) -> None:
        left = left_s(UNTIL.get())
        if left is not None and left < ANSWER_S:  # what every statement may take without a deadline
            connection.exec_driver_sql("SELECT set_config('statement_timeout', %s, true)", (str(ceil(left * 1000)),))

    @event.listens_for(engine, "before_cursor_execute")
    def before(*_: object) -> None:
        left_s(UNTIL.get())

    @event.listens_for(engine, "commit")
    def commit(_: Connection) -> None:
        left_s(UNTIL.get())
        UNTIL.set(None)

    @event.listens_for(engine, "handle_error")
    def late(_: ExceptionContext) -> None:
        left_s(UNTIL.get())
