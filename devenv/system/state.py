"""Files at run time: one private folder for each cluster name, in the XDG state folder. The cluster is the state;
what lies here can be lost without harm."""

import fcntl
import json
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import NamedTemporaryFile, TemporaryDirectory
from typing import IO, Any

import platformdirs

from devenv.errors import DevenvError
from devenv.system import process
from devenv.system.digest import digest


@dataclass(frozen=True)
class Folder:
    """The runtime folder of one cluster name."""

    path: Path

    @property
    def kubeconfig(self) -> Path:
        return self.path / "kubeconfig"

    @property
    def lock(self) -> Path:
        # Beside the folder, not in it: `down` removes the folder while it holds the lock.
        return self.path.with_name(f"{self.path.name}.lock")

    @property
    def socket(self) -> Path:
        return self.path / "forwards.sock"

    @property
    def forwards(self) -> Path:
        return self.path / "forwards.json"

    @property
    def forwards_lock(self) -> Path:
        return self.path / "forwards.lock"

    @property
    def attach_lock(self) -> Path:
        """Held by the `devenv attach` that runs; its text says who that is."""
        return self.path / "attach.lock"

    @property
    def attached(self) -> Path:
        """The mounted files of the workload whose place a local process has taken."""
        return self.path / "attached"

    @property
    def runs(self) -> Path:
        """The timelines of the last runs."""
        return self.path / "runs"

    @property
    def hashes(self) -> Path:
        """Hashes that are slow to make, for the next command."""
        return self.path / "hashes.json"

    @property
    def about(self) -> Path:
        """Whose environment it is: its name, namespace, context and checkout."""
        return self.path / "environment.json"

    @property
    def authority(self) -> Path:
        """The certificate of the environment's own authority."""
        return self.path / "authority.crt"

    @property
    def authority_key(self) -> Path:
        return self.path / "authority.key"

    @property
    def bundle(self) -> Path:
        """The system's authorities, and ours."""
        return self.path / "authorities.crt"

    def log(self, name: str) -> Path:
        """Return the path of a log, in a folder that is private before anything is written there."""
        self.make()
        (self.path / "logs").mkdir(mode=0o700, exist_ok=True)
        return self.path / "logs" / f"{name}.log"

    def make(self) -> None:
        made(self.path, "XDG_STATE_HOME")

    def remove(self) -> None:
        if self.path.exists():
            shutil.rmtree(self.path)


def folder(name: str, context: str | None = None, namespace: str = "") -> Folder:
    """Return the folder of an environment: that of its kind cluster, or the one that it has on an existing cluster."""
    # Short: the path of a Unix socket has 107 bytes.
    mark = f"-{digest([context.encode(), namespace.encode()])[:8]}" if context else ""
    return Folder(Path(platformdirs.user_state_dir("devenv")) / f"{name}{mark}")


def folders() -> list[Folder]:
    """Return the folders of all environments of this machine, by name."""
    home = Path(platformdirs.user_state_dir("devenv"))
    return [Folder(path) for path in sorted(home.iterdir()) if path.is_dir()] if home.is_dir() else []


def isolation(mark: str) -> Path:
    """Return the file that remembers the isolation of a checkout, by the hash of its path."""
    return Path(platformdirs.user_state_dir("devenv")) / f"isolated-{mark[:16]}.json"


def isolations() -> list[Path]:
    """Return the files that remember the isolations of all checkouts of this machine."""
    return sorted(isolation("").parent.glob("isolated-*.json"))


@contextmanager
def passing() -> Iterator[Folder]:
    """Yield a runtime folder that is gone at the end."""
    with TemporaryDirectory(prefix="devenv-") as path:
        folder = Folder(Path(path) / "environment")
        folder.make()
        yield folder


def made(path: Path, variable: str) -> None:
    """Make a private folder, where there is none. Raise DevenvError with the variable that names another place."""
    try:
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise DevenvError(f"{path}: {error.strerror}\nhint: set {variable} to a folder of yours") from error


def is_ours(path: Path) -> bool:
    """Whether a file is in a runtime folder of some environment."""
    return path.resolve().is_relative_to(Path(platformdirs.user_state_dir("devenv")).resolve())


def cache() -> Path:
    """Return the folder for what can be made again: tools, layers of images."""
    path = Path(platformdirs.user_cache_dir("devenv"))
    made(path, "XDG_CACHE_HOME")
    if path.stat().st_mode & 0o022:  # what others could put there would be run
        path.chmod(0o700)
    return path


def write(path: Path, text: str) -> None:
    """Write a private file (0600) whole or not at all."""
    with NamedTemporaryFile("w", dir=path.parent, prefix=f".{path.name}.", delete=False) as file:
        try:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
            Path(file.name).replace(path)
        except BaseException:  # an interrupt too: half a key is not left lying about
            Path(file.name).unlink(missing_ok=True)
            raise


def write_json(path: Path, value: Any) -> None:
    write(path, json.dumps(value))


def read_json(path: Path) -> Any:
    """Return the file's value, or None where there is none, or none that can be read."""
    try:
        return json.loads(path.read_text())
    except (OSError, ValueError):
        return None


def acquired(path: Path, log: Callable[[str], None]) -> IO[str]:
    """Return the lock file, held. Its holder may have removed it meanwhile: then the new one is what counts."""
    made(path.parent, "XDG_STATE_HOME")
    while True:
        file = open(path, "a+", opener=process.private)  # noqa: SIM115
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.seek(0)
            log(f"waiting for {file.read().strip() or 'another devenv'} to end")
            fcntl.flock(file, fcntl.LOCK_EX)
        if path.exists() and path.stat().st_ino == os.fstat(file.fileno()).st_ino:
            return file
        file.close()


@contextmanager
def locked(folder: Folder, doing: str, log: Callable[[str], None]) -> Iterator[None]:
    """Hold the lock of a cluster name: one command changes it, another waits and says for whom.

    Children inherit the lock, so that it is free only when the last of a killed command's children is gone.
    """
    with acquired(folder.lock, log) as file:
        file.seek(0)
        file.truncate()
        file.write(f"`devenv {doing}` (process {os.getpid()})")
        file.flush()
        process.hold(file.fileno())
        try:
            yield
        finally:
            process.release(file.fileno())
            file.seek(0)
            file.truncate()


def remove_lock(folder: Folder) -> None:
    """Remove the lock file; only its holder may."""
    folder.lock.unlink(missing_ok=True)


def is_locked(path: Path) -> bool:
    """Whether a living process holds the lock of the file."""
    try:
        with path.open() as file:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
            return False
    except FileNotFoundError:
        return False
    except BlockingIOError:
        return True
