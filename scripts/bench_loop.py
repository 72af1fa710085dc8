"""How soon does a changed line answer, by each way?

    .venv/bin/python scripts/bench_loop.py [--rounds 10] [--ways reload restart build up]

A copy of this project is brought up under a name and ports of its own. A line of the API's source is changed again
and again; told is the time from the save until the new line answers through the forward: by `devenv dev` with the
table as it is (reload), with `then = "restart"` (restart), without `sync` (build), and by `devenv up` after each save.
"""

import argparse
import os
import re
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext, suppress
from pathlib import Path

import httpx

CHECKOUT = Path(__file__).parents[1]
PARTS = ("pyproject.toml", ".env.example", "k8s", "scripts")
SOURCE, LINE = "k8s/images/somabrain/somabrain/health.py", '    return {"ok": True}\n'
NAME, PORTS = "bench-loop", {"API": 19696, "MEMORY": 19595, "REDIS": 16379, "POSTGRES": 15432, "HTTPS": 19999}
DEVENV = str(Path(sys.executable).parent / "devenv")
WITHIN_S, SETTLED_S = 300.0, 2.0
RELOADS = re.compile(r'^then = "signal HUP".*\nloaded = .*\nrefused = .*\n', re.MULTILINE)
SYNCS = re.compile(r"^sync = .*\n", re.MULTILINE)


class Project:
    """The copy, its environment, and the line that is changed."""

    def __init__(self, root: Path) -> None:
        self.root, self.count, self.table = root, 0, (root / "pyproject.toml").read_text()
        ports = {f"DEVENV_PORT_{name}": str(port) for name, port in PORTS.items()}
        self.environ = {**os.environ, **ports, "DEVENV_NAME": NAME, "CI": "true"}

    def run(self, *words: str) -> None:
        subprocess.run([DEVENV, *words], cwd=self.root, env=self.environ, check=True, capture_output=True)

    def write_table(self, text: str) -> None:
        (self.root / "pyproject.toml").write_text(text)

    def save(self) -> int:
        """Change the line, and return the number that it answers with."""
        self.count += 1
        new = f'    return JSONResponse({{"ok": True, "line": {self.count}}})\n'
        (self.root / SOURCE).write_text((CHECKOUT / SOURCE).read_text().replace(LINE, new, 1))
        return self.count

    def answers(self) -> object:
        with suppress(httpx.TransportError, ValueError):
            url = f"http://127.0.0.1:{PORTS['API']}/healthz"
            return httpx.get(url, timeout=5, trust_env=False).json().get("line")
        return None

    def changed_s(self, then: Callable[[], None]) -> float:
        """Save, do what follows, and return the seconds until the new line answered."""
        begun = time.monotonic()
        line = self.save()
        then()
        while self.answers() != line:
            if time.monotonic() - begun > WITHIN_S:
                sys.exit(f"line {line} does not answer within {WITHIN_S:.0f} s")
            time.sleep(0.01)
        took_s = time.monotonic() - begun
        time.sleep(SETTLED_S)
        return took_s


@contextmanager
def followed(project: Project) -> Iterator[None]:
    """Have `devenv dev` follow the files."""
    child = subprocess.Popen(
        [DEVENV, "dev", "--yes"], cwd=project.root, env=project.environ, stderr=subprocess.PIPE, text=True
    )
    assert child.stderr
    try:
        for said in child.stderr:
            if "following its files" in said:
                break
        else:
            sys.exit("devenv dev ended by itself")
        yield
    finally:
        child.send_signal(signal.SIGINT)
        child.communicate(timeout=WITHIN_S)


def measure(project: Project, way: str, rounds: int) -> list[float]:
    tables = {
        "restart": RELOADS.sub('then = "restart"\n', project.table),
        "build": RELOADS.sub("", SYNCS.sub("", project.table)),
    }
    project.write_table(tables.get(way, project.table))
    with followed(project) if way != "up" else nullcontext():
        then = (lambda: project.run("up")) if way == "up" else lambda: None
        return [project.changed_s(then) for _ in range(rounds)]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--ways", nargs="+", default=["reload", "restart", "build", "up"])
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        for part in PARTS:
            copy = shutil.copytree if (CHECKOUT / part).is_dir() else shutil.copy2
            copy(CHECKOUT / part, Path(folder) / part)
        project = Project(Path(folder))
        try:
            project.run("up")
            for way in chosen.ways:
                took = measure(project, way, chosen.rounds)
                rows = f"median {statistics.median(took):6.2f} s, {min(took):.2f} to {max(took):.2f} s"
                print(f"{way:8} {rows} ({len(took)} times, load {os.getloadavg()[0]:.1f})", flush=True)
        finally:
            project.run("down", "--yes")


if __name__ == "__main__":
    main()
