"""A PgBouncer of the test's own, in transaction mode, in front of a Postgres that is there: a real process."""

import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import unquote, urlsplit, urlunsplit

import psycopg
import pytest

from devenv.certificates.x509 import Pair
from tests.service.programs import START_S, silent_port

# It refuses to be root; tests may run as root.
NOBODY = 65534
# The defaults but for what follows, so a start-up option or a prepared statement is refused as it would be elsewhere.
CONFIGURATION = """[databases]
* = host={host} port={port}
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = {listen}
unix_socket_dir =
pool_mode = transaction
default_pool_size = {sessions}
max_client_conn = 200
auth_type = scram-sha-256
auth_file = {folder}/users
"""
ENCRYPTED = """client_tls_sslmode = require
client_tls_cert_file = {folder}/certificate
client_tls_key_file = {folder}/key
"""


@contextmanager
def pooled(dsn: str, sessions: int, served: Pair | None = None) -> Iterator[str]:
    """Yield the address of a database by way of a pooler, which shares so many sessions among all who ask.

    With a certificate to serve, it refuses whoever does not encrypt.
    """
    parts = urlsplit(dsn)
    with silent_port() as free:
        listen = free
    there = urlunsplit(parts._replace(netloc=f"{parts.netloc.rpartition('@')[0]}@127.0.0.1:{listen}"))
    folder = Path(tempfile.mkdtemp())
    try:
        values = {"host": parts.hostname, "port": parts.port, "listen": listen, "folder": folder, "sessions": sessions}
        text = CONFIGURATION
        if served:
            text += ENCRYPTED
            (folder / "certificate").write_text(served.certificate)
            (folder / "key").write_text(served.key)
        (folder / "pgbouncer.ini").write_text(text.format(**values))
        (folder / "users").write_text(f"{quoted(parts.username)} {quoted(parts.password)}\n")
        with running(folder) as process:
            await_answer(there, process, folder / "log")
            yield there
    finally:
        shutil.rmtree(folder)


def quoted(value: str | None) -> str:
    return '"' + unquote(value or "").replace('"', '""') + '"'


@contextmanager
def running(folder: Path) -> Iterator[subprocess.Popen[bytes]]:
    user = NOBODY if os.geteuid() == 0 else None
    if user is not None:
        for path in (folder, *folder.iterdir()):
            os.chown(path, user, -1)
    program = shutil.which("pgbouncer", path=os.pathsep.join([os.environ["PATH"], "/usr/sbin"]))
    if program is None:
        pytest.fail("pgbouncer is not installed: apt-get install pgbouncer", pytrace=False)
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen([program, str(folder / "pgbouncer.ini")], stdout=log, stderr=log, user=user)
        try:
            yield process
        finally:
            process.kill()
            process.wait(timeout=START_S)


def await_answer(dsn: str, process: subprocess.Popen[bytes], log: Path) -> None:
    end = time.monotonic() + START_S
    while True:
        try:
            psycopg.connect(dsn, connect_timeout=5).close()
        except psycopg.OperationalError as error:
            if process.poll() is not None or time.monotonic() > end:
                pytest.fail(f"PgBouncer does not serve: {error}\n{log.read_text()}", pytrace=False)
            time.sleep(0.1)
        else:
            return
