"""A stack that tests share: each gets it healthy and as its project is written, whatever the one before has done."""

import subprocess
from dataclasses import dataclass
from pathlib import Path

import httpx

from devenv.system.wait import poll
from tests.cluster.environment import FIRST_UP_S, Environment, go_first
from tests.cluster.ingress import Ingress

LOOK_S, COMES_BACK_WITHIN_S = 5.0, 20.0


@dataclass(frozen=True)
class Look:
    done: bool


@dataclass
class Shared:
    """An environment, with a copy of its files as they are to be at the start of each test."""

    env: Environment
    history: Path  # a repository apart from the files: they are not to know of it
    dirty: bool = False  # a test failed, and what it left is unknown
    ingress: Ingress | None = None  # once it is installed in this cluster

    def git(self, *words: str) -> str:
        argv = ["git", "--git-dir", str(self.history), "--work-tree", str(self.env.root)]
        who = ["-c", "user.name=t", "-c", "user.email=t@example.com"]
        argv += [*who, *words]
        return subprocess.run(argv, cwd=self.env.root, check=True, capture_output=True, text=True).stdout

    def keep(self) -> None:
        """Take the files as they are now for what the next tests are to find."""
        if not self.history.exists():
            self.git("init", "--quiet")
            (self.history / "info/exclude").write_text(".env\n__pycache__/\n.*_cache/\n")
        self.git("add", "--all")
        self.git("commit", "--quiet", "--allow-empty", "--message", "kept")

    def heal(self) -> None:
        """Bring files and stack back, where they are not as a test is to find them."""
        if self.git("status", "--porcelain"):
            self.git("reset", "--quiet", "--hard")
            self.git("clean", "--quiet", "--force", "-d")
            self.dirty = True
        # Most of what a test disturbs comes back by itself, and sooner than by a command.
        if not self.dirty and poll(self.look, COMES_BACK_WITHIN_S).done:
            return
        if not self.mended():
            self.env.fine("down")
            self.ingress = None
            self.up()
        self.dirty = False

    def up(self) -> None:
        self.env.fine("up", within_s=FIRST_UP_S)
        go_first(self.env.node)

    def mended(self) -> bool:
        if self.env.run("up").returncode:
            return False
        self.env.run("forward", "start")  # a route that was chosen is left by `up`
        return self.env.run("wait", "all", "--timeout", "120s").returncode == 0 and self.answers()

    def look(self) -> "Look":
        return Look(self.answers())

    def answers(self) -> bool:
        """Whether the API answers through its forward and has all that it needs."""
        try:
            url = f"http://127.0.0.1:{self.env.ports['api']}/health"
            return bool(httpx.get(url, timeout=LOOK_S, trust_env=False).json()["ok"])
        except (httpx.HTTPError, ValueError):
            return False
