"""What a bug report needs, in one file: the state of the machine, the table, logs and timelines, without secrets."""

import io
import json
import tarfile
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path

from devenv.commands.doctor import Check
from devenv.errors import DevenvError
from devenv.project import sources
from devenv.project.settings import Settings
from devenv.system.masking import masked
from devenv.system.state import Folder

LOG_BYTES = 1 << 20  # of each log, from its end
# Of the environment's folder: no kubeconfig and no key.
KEPT = ("environment.json", "forwards.json", "logs/*", "runs/*")


def write(target: Path, checks: Iterable[Check], settings: Settings | None) -> None:
    """Write the bundle. Raise DevenvError where that cannot be done."""
    found = {"doctor.json": json.dumps([asdict(check) for check in checks], indent=2)}
    if settings:
        learn(settings)
        found["table.toml"] = settings.file.read_text(errors="replace")
        found |= dict(of_folder(sources.runtime(settings)))
    try:
        with tarfile.open(target, "w:gz") as archive:
            for name, text in sorted(found.items()):
                held = masked(text).encode()
                member = tarfile.TarInfo(f"devenv-report/{name}")
                member.size, member.mode = len(held), 0o600
                archive.addfile(member, io.BytesIO(held))
    except OSError as error:
        raise DevenvError(f"{target}: {error.strerror}") from error


def learn(settings: Settings) -> None:
    """Read all that may hold a secret, so that it is hidden; what cannot be read tells none."""
    with suppress(DevenvError):
        sources.load(settings)


def of_folder(folder: Folder) -> Iterator[tuple[str, str]]:
    for pattern in KEPT:
        for file in sorted(folder.path.glob(pattern)):
            if file.is_file() and not file.is_symlink():
                with suppress(OSError):
                    text = file.read_bytes()[-LOG_BYTES:].decode(errors="replace")
                    yield f"state/{file.relative_to(folder.path)}", text
