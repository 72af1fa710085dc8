"""Programs that note their arguments, which every process of the machine may read, and then do their work."""

import os
import shutil
from pathlib import Path

RECORDER = """#!/bin/sh
for word; do printf '%s\\n' "$word"; done >>'{log}'
exec '{program}' "$@"
"""


def recording(folder: Path, path: str, programs: tuple[str, ...]) -> tuple[str, Path]:
    """Return a PATH on which these programs note their arguments, and the file in which they do."""
    log, bin_folder = folder / "arguments", folder / "recorders"
    bin_folder.mkdir()
    log.touch()
    for name in programs:
        program = shutil.which(name, path=path)
        assert program, f"no {name} on PATH"
        recorder = bin_folder / name
        recorder.write_text(RECORDER.format(log=log, program=program))
        recorder.chmod(0o755)
    return os.pathsep.join([str(bin_folder), path]), log
