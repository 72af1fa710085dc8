"""Code put in the place of the running one by SIGHUP: real processes, from a copy of the service's files."""

import os
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import pytest

from tests.service.programs import PYTHONPATH, START_S, await_life, environment, silent_port
from tests.waiting import eventually

OLD = '    return {"ok": True}\n'
SERVES, REFUSED = "serving the code of", "new code does not serve"


@dataclass
class Service:
    """A service that reloads, the folder of its code, and what it says."""

    code: Path
    process: "subprocess.Popen[str]"
    client: httpx.Client
    lines: list[str] = field(default_factory=list)

    def read(self) -> None:
        assert self.process.stderr
        self.lines.extend(iter(self.process.stderr.readline, ""))

    def edit(self, file: str, old: str, new: str) -> None:
        path = self.code / "somabrain" / file
        text = path.read_text()
        assert old in text
        path.write_text(text.replace(old, new, 1))

    def reload(self, says: str) -> str:
        """Send SIGHUP and return the line that tells what came of it."""
        start = len(self.lines)
        self.process.send_signal(signal.SIGHUP)

        def told() -> list[str]:
            return [line for line in self.lines[start:] if says in line]

        eventually(lambda: bool(told()), START_S, "".join(self.lines))
        return told()[0]

    def children(self) -> list[int]:
        found = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text().split()
        return [int(pid) for pid in found]


@pytest.fixture
def service(tmp_path: Path) -> Iterator[Service]:
    code = tmp_path / "code"
    shutil.copytree(PYTHONPATH, code, ignore=shutil.ignore_patterns("packages", "__pycache__"))
    with silent_port() as postgres, silent_port() as redis:
        with silent_port() as port:
            pass
        env = environment(
            SOMABRAIN_RELOAD="1", SOMABRAIN_HOST="127.0.0.1", SOMABRAIN_PORT=str(port),
            SOMABRAIN_POSTGRES_DSN=f"postgresql://a:b@127.0.0.1:{postgres}/c",
            SOMABRAIN_REDIS_URL=f"redis://127.0.0.1:{redis}/0",
        )  # fmt: skip
        process = subprocess.Popen(
            [sys.executable, "-m", "somabrain"], cwd=code, env={**env, "PYTHONPATH": str(code)},
            stderr=subprocess.PIPE, text=True, start_new_session=True,
        )  # fmt: skip
        # Each request by a connection of its own: one that is kept is the former code's until that has ended.
        with httpx.Client(
            base_url=f"http://127.0.0.1:{port}", timeout=10, trust_env=False, headers={"Connection": "close"}
        ) as client:
            found = Service(code, process, client)
            threading.Thread(target=found.read, daemon=True).start()
            await_life(client, process)
            eventually(lambda: any(SERVES in line for line in found.lines), START_S)
            try:
                yield found
            finally:
                with suppress(ProcessLookupError):  # a test has ended all of them
                    os.killpg(process.pid, signal.SIGKILL)  # its children too, which nobody would end
                process.wait(START_S)


def answer(service: Service) -> object:
    return service.client.get("/healthz").json()


def test_new_code_answers_from_the_moment_it_is_said_to_serve(service: Service) -> None:
    old = OLD
    for number in range(3):
        new = f'    return JSONResponse({{"ok": True, "line": {number}}})\n'
        service.edit("health.py", old, new)
        service.reload(SERVES)
        assert answer(service) == {"ok": True, "line": number}
        old = new
    eventually(lambda: len(service.children()) == 1, START_S)


def test_no_request_fails_while_code_is_put_in_place(service: Service) -> None:
    failures, done = list[object](), threading.Event()
    answered = 0

    def ask() -> None:
        nonlocal answered
        while not done.is_set():
            try:
                failures.extend([] if service.client.get("/healthz").status_code == 200 else ["not 200"])
            except httpx.TransportError as error:
                failures.append(error)
            answered += 1

    asking = threading.Thread(target=ask)
    asking.start()
    try:
        for _ in range(3):
            service.reload(SERVES)
    finally:
        done.set()
        asking.join()
    assert failures == []
    assert answered > 0


@pytest.mark.parametrize(
    ("file", "old", "new", "code", "says"),
    [
        ("health.py", OLD, "    return {\n", 1, "SyntaxError"),
        ("app.py", "    app = FastAPI(", "    nothing.of_that()\n    app = FastAPI(", 1, "NameError"),
        ("__main__.py", "def main() -> int:\n", "def main() -> int:\n    return 7\n", 7, ""),
    ],
)
def test_code_that_does_not_serve_is_told_and_the_former_goes_on(
    service: Service, file: str, old: str, new: str, code: int, says: str
) -> None:
    before = service.children()
    service.edit(file, old, new)
    assert f"exit code {code}" in service.reload(REFUSED)
    assert says in "".join(service.lines)
    assert answer(service) == {"ok": True}
    assert service.children() == before
    service.edit(file, new, old)
    service.reload(SERVES)
    assert service.children() != before


def test_a_change_of_what_reloads_is_taken_too(service: Service) -> None:
    (before,) = service.children()
    service.edit("reloading.py", '"serving the code of %s"', '"serving the code of %s, as told anew"')
    service.reload("as told anew")
    assert answer(service) == {"ok": True}
    assert before not in service.children()


def test_it_ends_with_its_children_and_in_time(service: Service) -> None:
    children = service.children()
    service.process.terminate()
    assert service.process.wait(START_S) == 0
    assert not [pid for pid in children if Path(f"/proc/{pid}").exists()]


def test_a_child_that_crashes_ends_the_service_with_its_code(service: Service) -> None:
    (child,) = service.children()
    os.kill(child, signal.SIGKILL)
    assert service.process.wait(START_S) == -signal.SIGKILL % 256


def test_only_the_service_s_own_code_is_read_anew() -> None:
    script = (
        "import importlib, sys\n"
        "from somabrain.reloading import LIBRARIES\n"
        "for name in LIBRARIES: importlib.import_module(name)\n"
        "before = {*sys.modules}\n"
        "import somabrain.app\n"
        "print(*sorted({n.partition('.')[0] for n in {*sys.modules} - before}))\n"
    )
    env = environment()
    said = subprocess.run([sys.executable, "-c", script], env=env, capture_output=True, text=True, check=True).stdout
    assert said.split() == ["somabrain"]
