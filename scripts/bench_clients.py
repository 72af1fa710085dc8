"""What do thousands of clients cost the forwards, and what is left of them?

    devenv up && .venv/bin/python scripts/bench_clients.py [--clients 10000] [--forward api] [--deployment somabrain]

First all connect while a pod answers, each asks once and stays connected; then all connect while the Deployment has
no pod, half of them go away again with a reset, and it is scaled up. Told are the answers, the time of the last of
them, and the memory, descriptors and connections of the forwards' process before, meanwhile and afterwards.
"""

import argparse
import asyncio
import json
import os
import socket
import struct
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import psutil

from devenv.project import settings
from devenv.system import state

ASK = b"GET /healthz HTTP/1.1\r\nHost: bench\r\n\r\n"
SETTLED_S, WITHIN_S = 10.0, 180.0
AT_ONCE = 400  # connections being opened at a time: the kernel's queue of a listener has some 4,000
Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]


class Forwards:
    """The forwards' process of the environment, seen from outside."""

    def __init__(self, folder: state.Folder, name: str) -> None:
        self.process, self.name = psutil.Process(int(folder.forwards_lock.read_text())), name

    def row(self) -> dict[str, object]:
        argv = [str(Path(sys.executable).parent / "devenv"), "forward", "status", "-o", "json"]
        # Its exit code tells of forwards that are not open; they are not while there is no pod.
        told = subprocess.run(argv, capture_output=True, text=True, check=False).stdout
        return dict(next(row for row in json.loads(told) if row["name"] == self.name))

    def tell(self, when: str) -> None:
        row, mib = self.row(), self.process.memory_info().rss >> 20
        print(f"{when:42} {mib:4} MiB {self.process.num_fds():6} descriptors {row['connections']:>6} connections")


async def opened(port: int) -> Streams:
    return await asyncio.open_connection("127.0.0.1", port)


async def answered(streams: Streams) -> bool:
    reader, writer = streams
    with suppress(OSError, asyncio.IncompleteReadError, TimeoutError):
        writer.write(ASK)
        async with asyncio.timeout(WITHIN_S):
            return (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 200")
    return False


async def connected(port: int, count: int) -> list[Streams]:
    gate = asyncio.Semaphore(AT_ONCE)

    async def one() -> Streams:
        async with gate:
            return await opened(port)

    return [*await asyncio.gather(*(one() for _ in range(count)))]


def reset(streams: Streams) -> None:
    held: socket.socket = streams[1].get_extra_info("socket")
    held.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    streams[1].transport.abort()


async def ask_all(clients: list[Streams], what: str) -> None:
    begun = time.monotonic()
    found = await asyncio.gather(*map(answered, clients))
    print(f"{what}: {sum(found)} of {len(clients)} answered, the last after {time.monotonic() - begun:.1f} s")


async def measure(forwards: Forwards, port: int, count: int, scale: list[str]) -> None:
    forwards.tell("before")
    clients = await connected(port, count)
    await ask_all(clients, "a pod answers")
    forwards.tell("all connected")
    for _, writer in clients:
        writer.close()
    await asyncio.sleep(SETTLED_S)
    forwards.tell("all gone")

    subprocess.run([*scale, "--replicas=0"], check=True, capture_output=True)
    while forwards.row()["state"] == "OPEN":
        await asyncio.sleep(0.5)
    clients = await connected(port, count)
    forwards.tell("no pod, all held")
    for client in clients[::2]:
        reset(client)
    waiting = asyncio.create_task(ask_all(clients[1::2], "half have gone, a pod comes"))
    await asyncio.sleep(1)
    forwards.tell("no pod, half of them reset")
    subprocess.run([*scale, "--replicas=1"], check=True, capture_output=True)
    await waiting
    for _, writer in clients[1::2]:
        writer.close()
    await asyncio.sleep(SETTLED_S)
    forwards.tell("all gone")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--clients", type=int, default=10_000)
    parser.add_argument("--forward", default="api")
    parser.add_argument("--deployment", default="somabrain")
    chosen = parser.parse_args()
    project = settings.load(Path("pyproject.toml"), os.environ, {}).project
    folder = state.folder(project.name)
    forwards = Forwards(folder, chosen.forward)
    scale = ["kubectl", "--kubeconfig", str(folder.kubeconfig), "-n", project.namespace]
    scale += ["scale", f"deployment/{chosen.deployment}"]
    asyncio.run(measure(forwards, project.forwards[chosen.forward].local_port, chosen.clients, scale))
    return 0


if __name__ == "__main__":
    sys.exit(main())
