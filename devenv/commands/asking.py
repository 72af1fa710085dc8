"""The checks of the table, asked within their limits: by HTTP, by TCP, by a command here or in a pod, by SQL there."""

import os
import socket
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from time import monotonic

from devenv.commands import export, inside
from devenv.errors import CommandFailed, DevenvError
from devenv.project import sources, stack
from devenv.project.checks import Check
from devenv.reconcile.environment import Environment
from devenv.system import process

TAKEN = 1 << 16  # bytes of an answer that are looked at
# psql by the variables of the official image of Postgres, whose local connections need no password.
PSQL = 'exec psql -X -A -t -q -v ON_ERROR_STOP=1 -U "${POSTGRES_USER:-postgres}" -d "${POSTGRES_DB:-postgres}" -c "$0"'


@dataclass(frozen=True)
class Answer:
    """What was answered; `code` is the status of HTTP or the exit code of a command."""

    code: int
    text: str


@dataclass(frozen=True)
class Question:
    """A check with its references replaced."""

    check: Check
    words: Sequence[str]  # the URL, the address, the command, the statement
    send: str
    contains: str
    headers: Mapping[str, str]

    @property
    def asked(self) -> str:
        """Return the question as a person reads it."""
        where = f" in {self.check.in_}" if self.check.in_ else ""
        said = " ".join(" ".join(self.words).split())
        more = f" {self.send.strip()}" if self.send else ""
        return f"{ {'http': 'GET', 'tcp': 'TCP', 'sql': 'SQL', 'command': 'run'}[self.check.kind] } {said}{more}{where}"


def question(env: Environment, check: Check, values: Mapping[str, str]) -> Question:
    """Return a check with its references replaced; `values` are those of the env-file."""

    def filled(texts: Mapping[str, str]) -> dict[str, str]:
        return stack.substituted(env.settings, texts, values, run="verify")

    written = check.command or [str(getattr(check, check.kind))]
    words = filled({str(n): word for n, word in enumerate(written)})
    own = filled({"send": check.send, "contains": check.contains})
    return Question(check, tuple(words.values()), own["send"], own["contains"], filled(check.headers))


def ask(env: Environment, asked: Question) -> tuple[Answer, str]:
    """Return what is answered, and why that is not well, or an empty string."""
    try:
        answer = answered(env, asked)
    except (OSError, DevenvError) as error:
        return Answer(0, ""), " ".join(str(error).split())
    return answer, fault(asked, answer)


def answered(env: Environment, asked: Question) -> Answer:
    match asked.check.kind:
        case "http":
            return by_http(asked)
        case "tcp":
            return by_tcp(asked)
        case "sql":
            return by_command(env, asked, ["sh", "-c", PSQL, *asked.words])
        case _:
            return by_command(env, asked, asked.words)


def fault(asked: Question, answer: Answer) -> str:
    """Return why an answer is not what a check wants, or an empty string."""
    check = asked.check
    wanted = check.status if check.kind == "http" else 0
    if answer.code != wanted:
        said = f"status {answer.code}" if check.kind == "http" else f"exit code {answer.code}"
        return check.when.get(str(answer.code)) or f"{said}: {' '.join(answer.text.split())}".rstrip(": ")
    if asked.contains not in answer.text:
        return f"the answer has no {asked.contains.strip()}: {' '.join(answer.text.split())}".rstrip(": ")
    return ""


def by_http(asked: Question) -> Answer:
    import httpx

    limit_s = asked.check.within_s
    end, heard = monotonic() + limit_s, b""
    try:
        with (
            httpx.Client(timeout=limit_s, trust_env=False) as client,
            client.stream("GET", asked.words[0], headers=dict(asked.headers)) as seen,
        ):
            for piece in seen.iter_bytes():
                heard += piece
                if len(heard) >= TAKEN or monotonic() > end:
                    break
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        raise DevenvError(str(error) or type(error).__name__) from error
    return Answer(seen.status_code, heard.decode(errors="replace"))


def by_tcp(asked: Question) -> Answer:
    """Connect, send what is to be sent, and read until the answer has what it should, ends, or time is up."""
    host, _, port = asked.words[0].rpartition(":")
    if not port.isdigit():
        raise DevenvError(f"{asked.words[0]}: is no HOST:PORT")
    end, heard = monotonic() + asked.check.within_s, b""
    with socket.create_connection((host.strip("[]"), int(port)), asked.check.within_s) as connection:
        connection.sendall(asked.send.encode())
        while asked.contains and asked.contains.encode() not in heard and len(heard) < TAKEN:
            connection.settimeout(max(0.001, end - monotonic()))
            try:
                piece = connection.recv(4096)
            except TimeoutError:
                break
            if not piece:
                break
            heard += piece
    return Answer(0, heard.decode(errors="replace"))


def by_command(env: Environment, asked: Question, words: Sequence[str]) -> Answer:
    check = asked.check
    if check.in_:
        run = inside.program(env, check.in_, check.container, words, terminal=False)
        argv, variables = run.argv, run.environment
    else:
        argv = [process.find(words[0]), *words[1:]]
        variables = {**os.environ, "PATH": process.search_path(), **export.values(env, {})}
    try:
        said = process.run(argv, cwd=env.settings.root, env=variables, within_s=check.within_s)
    except CommandFailed as error:
        return Answer(error.code, error.output)
    return Answer(0, said)


def questions(env: Environment) -> dict[str, Question]:
    """Return the checks of the table by their names."""
    values, _ = sources.environment(env.settings)
    return {name: question(env, check, values) for name, check in env.project.checks.items()}
