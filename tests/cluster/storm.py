"""New connections at a steady rate, each with one question: what a client sees while pods come and go."""

import asyncio
from threading import Event, Thread
from typing import Self

ANSWER_WITHIN_S = 60.0


class Storm:
    """Asks on a port of 127.0.0.1, `per_s` times a second, from entering to leaving; `failures` is what went wrong."""

    def __init__(self, port: int, question: bytes, wanted: bytes, per_s: float = 50) -> None:
        self.port, self.question, self.wanted, self.per_s = port, question, wanted, per_s
        self.asked, self.failures = 0, list[str]()
        self._end = Event()
        self._thread = Thread(target=lambda: asyncio.run(self._blow()))

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._end.set()
        self._thread.join()

    async def _blow(self) -> None:
        asking: set[asyncio.Task[None]] = set()
        while not self._end.is_set():
            self.asked += 1
            task = asyncio.create_task(self._ask(self.asked))
            asking.add(task)
            task.add_done_callback(asking.discard)
            await asyncio.sleep(1 / self.per_s)
        await asyncio.gather(*asking)

    async def _ask(self, number: int) -> None:
        try:
            async with asyncio.timeout(ANSWER_WITHIN_S):
                reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
                writer.write(self.question)
                got = await reader.read(len(self.wanted))
                if got != self.wanted:
                    self.failures.append(f"connection {number} got {got!r}")
                writer.close()
        except (OSError, TimeoutError) as error:
            self.failures.append(f"connection {number}: {type(error).__name__} {error}")
