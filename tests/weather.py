"""Bad weather before an API server: requests are refused, reset, held up, or cut off in the middle of their answer."""

import asyncio
import os
import random
import socket
import struct
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from threading import Event, Thread

from tests.cluster.environment import path

STATUSES = {429: "Too Many Requests", 500: "Internal Server Error", 503: "Service Unavailable"}
LONGEST_STALL_S, LONGEST_WATCH_S = 4.0, 5.0


@dataclass
class Weather:
    """A proxy at http://127.0.0.1:`port` whose faults come as often as `bad`, of 1; 0 is a clear sky."""

    upstream: int  # where `kubectl proxy` listens
    chance: random.Random
    bad: float = 0.0
    port: int = 0
    met: list[str] = field(default_factory=list)  # the faults so far

    async def serve(self, ready: Event) -> None:
        self.loop, self.ended = asyncio.get_running_loop(), asyncio.Event()
        server = await asyncio.start_server(self.connection, "127.0.0.1", 0)
        self.port = server.sockets[0].getsockname()[1]
        ready.set()
        await self.ended.wait()
        server.close()

    async def connection(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serve one request, so that each meets the weather."""
        with suppress(OSError, asyncio.IncompleteReadError):
            head = await reader.readuntil(b"\r\n\r\n")
            fault = self.chance.choice([*STATUSES, "reset", "stall", "cut"]) if self.chance.random() < self.bad else ""
            if fault:
                self.met.append(f"{fault} {head.partition(b' HTTP')[0].decode()}")
            if fault in STATUSES:
                writer.write(
                    f"HTTP/1.1 {fault} {STATUSES[fault]}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n".encode()
                )
                await writer.drain()
            elif fault != "reset":
                if fault == "stall":
                    await asyncio.sleep(self.chance.uniform(0, LONGEST_STALL_S))
                cut = self.chance.randrange(2000) if fault == "cut" else None
                # A watch outlives many faults of others, and so has one of its own: it ends in the middle.
                ends = self.chance.uniform(0.2, LONGEST_WATCH_S) if self.bad and b"watch=" in head else None
                try:
                    await asyncio.wait_for(self.passed_on(head, reader, writer, cut), ends)
                except TimeoutError:
                    fault = "reset"
                    self.met.append(f"ended {head.partition(b' HTTP')[0].decode()}")
            if fault in ("reset", "cut"):
                sock = writer.get_extra_info("socket")
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        writer.close()

    async def passed_on(
        self, head: bytes, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, at_most: int | None
    ) -> None:
        there, back = await asyncio.open_connection("127.0.0.1", self.upstream)
        if b"upgrade:" not in head.lower():
            lines = [x for x in head.split(b"\r\n") if x and not x.lower().startswith(b"connection:")]
            head = b"\r\n".join([*lines, b"Connection: close", b"", b""])
        back.write(head)
        forth = asyncio.create_task(piped(reader, back))
        try:
            await piped(there, writer, at_most)
        finally:
            forth.cancel()
            back.close()


async def piped(source: asyncio.StreamReader, sink: asyncio.StreamWriter, at_most: int | None = None) -> None:
    with suppress(OSError):
        left = at_most
        while (left is None or left > 0) and (data := await source.read(1 << 16 if left is None else left)):
            sink.write(data)
            await sink.drain()
            left = None if left is None else left - len(data)


@contextmanager
def before(kubeconfig: Path, context: str, seed: int) -> Iterator[Weather]:
    """Put weather before the API server of a context; the sky is clear at first."""
    argv = ["kubectl", "--kubeconfig", str(kubeconfig), "--context", context, "proxy", "--port=0"]
    environ = {**os.environ, "PATH": path()}  # without HOME it would keep its cache here
    proxy = subprocess.Popen(argv, stdout=subprocess.PIPE, text=True, env=environ)
    assert proxy.stdout
    weather = Weather(int(proxy.stdout.readline().rpartition(":")[2]), random.Random(seed))  # noqa: S311
    ready = Event()
    thread = Thread(target=lambda: asyncio.run(weather.serve(ready)))
    thread.start()
    try:
        assert ready.wait(10)
        yield weather
    finally:
        weather.loop.call_soon_threadsafe(weather.ended.set)
        thread.join(10)
        proxy.terminate()
        proxy.wait()
