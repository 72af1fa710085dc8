"""A registry of the tests' own, on loopback (Debian's docker-registry)."""

import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx

from tests.cluster.environment import free_ports

CONFIGURATION = """version: 0.1
storage:
  filesystem:
    rootdirectory: {folder}
http:
  addr: {listen}:{port}
"""


@contextmanager
def serving(folder: Path, listen: str = "127.0.0.1", port: int = 0) -> Iterator[str]:
    """Yield the address, on this host, of an empty registry that keeps its images in the folder."""
    port = port or free_ports(3)[2]
    file = folder / "registry.yml"
    file.write_text(CONFIGURATION.format(folder=folder / "blobs", listen=listen, port=port))
    with (folder / "registry.log").open("w") as log:
        server = subprocess.Popen(["docker-registry", "serve", str(file)], stdout=log, stderr=log)
        try:
            address = f"127.0.0.1:{port}"
            for _ in range(100):
                try:
                    httpx.get(f"http://{address}/v2/")
                    break
                except httpx.ConnectError:
                    time.sleep(0.1)
            yield address
        finally:
            server.terminate()
            server.wait()
