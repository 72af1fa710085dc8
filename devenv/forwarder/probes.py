"""Does the service behind an address answer, in its own protocol? An open port alone proves nothing."""

import asyncio
import re
import socket
import ssl
import struct

WITHIN_S = 1.0
STAYS_S = 0.2
# SQLSTATE 57P03, cannot_connect_now: Postgres is there and still starting up (or stopping).
NOT_YET = b"57P03"
UNVERIFIED = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
UNVERIFIED.check_hostname, UNVERIFIED.verify_mode = False, ssl.CERT_NONE


async def probe(kind: str, connection: socket.socket) -> str:
    """Return nothing if the service behind a connection answers, else what is wrong.

    `kind` is as in [tool.devenv.forwards].
    """
    try:
        async with asyncio.timeout(WITHIN_S):
            reader, writer = await asyncio.open_connection(sock=connection)
            try:
                return await answer(kind, reader, writer)
            finally:
                # Not close(): that of TLS waits for the other side's word, on a socket that its owner closes now.
                writer.transport.abort()
    except TimeoutError:
        return f"no answer within {WITHIN_S:.0f} s"
    except (OSError, asyncio.IncompleteReadError, ValueError) as error:  # ValueError: a line without an end
        return f"{type(error).__name__}: {error}"


async def answer(kind: str, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> str:
    name, _, path = kind.partition(" ")
    match name:
        case "http":
            writer.write(f"GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n".encode())
            line = (await reader.readline()).decode(errors="replace").split(" ", 2)
            fine = len(line) > 1 and line[0].startswith("HTTP/") and re.fullmatch(r"[23]\d\d", line[1].strip())
            return "" if fine else f"GET {path} was answered with {' '.join(line).strip() or 'nothing'}"
        case "redis":
            writer.write(b"PING\r\n")
            line_ = await reader.readline()
            # A server that asks for a password is a server that answers.
            return "" if line_.startswith((b"+PONG", b"-NOAUTH")) else f"PING was answered with {line_!r}"
        case "postgres":
            writer.write(startup_packet(user="devenv"))
            kind_, length = struct.unpack("!ci", await reader.readexactly(5))
            if kind_ not in (b"R", b"E") or length < 4:  # a request to authenticate, or why not
                return "this is no Postgres"
            body = await reader.readexactly(min(length - 4, 4096))
            return "the database system is starting up" if kind_ == b"E" and NOT_YET in body else ""
        case "tls":
            # Whose certificate it is, is for the client to judge.
            await writer.start_tls(UNVERIFIED)
            return ""
        case _:
            # No protocol to speak. A connection that is not closed at once was accepted.
            try:
                async with asyncio.timeout(STAYS_S):
                    return "" if await reader.read(1) else "the connection was closed at once"
            except TimeoutError:
                return ""


def startup_packet(user: str) -> bytes:
    """Source: PostgreSQL documentation, Message Formats, StartupMessage (protocol 3.0)."""
    body = struct.pack("!i", 196608) + b"user\0" + user.encode() + b"\0\0"
    return struct.pack("!i", len(body) + 4) + body
