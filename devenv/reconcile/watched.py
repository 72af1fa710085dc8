"""The files of a project, read as what they are to it: the input of ways.py, and the files that are sent."""

import os
import time
from dataclasses import replace
from pathlib import Path, PurePath

from devenv.errors import UsageError
from devenv.images import folder as folders
from devenv.images.graph import File
from devenv.project import gate_inputs, gitignore, manifests
from devenv.project.stack import Stack
from devenv.reconcile.targets import unreachable
from devenv.reconcile.tree import Tree
from devenv.reconcile.ways import Folder, Kind, Synced, Watched, nothing, way_of

Stamp = tuple[int, int, int, int]  # of a file: while it stays, so does the content
# A file that changed less long ago may still be being written, and change again without another stamp: file systems
# count time in ticks of up to 10 ms. Many programs empty a file before they write it, and may be held up in between.
WRITTEN_AFTER_S, FILLED_AFTER_S, LOOKS_EACH_S = 0.02, 0.5, 0.01


def watched(desired: Stack, tests: frozenset[PurePath] = frozenset()) -> Watched:
    """Return what each file is to a project, and to its `tests`.

    On an existing cluster no file is sent: it gets there by an image.
    """
    settings, project = desired.settings, desired.settings.project
    found, decisive = [], gate_inputs.patterns(settings.root, project.gates.values())
    for name, image in desired.images.items():
        if (path := image.source.folder) is None or image.source.own:
            continue
        table, home = project.images[name], path.resolve()
        synced = tuple(Synced(home / s.from_, s.to) for s in table.sync) if project.context is None else ()
        runs, beside = name in desired.wanted_images, tuple(path.resolve() for path in image.source.paths[1:])
        found.append(Folder(name, home, synced, table.then, image.bases, runs, beside))
    return Watched(
        table=settings.file,
        env_file=settings.path(project.env_file).resolve(),
        manifests=frozenset[PurePath](manifests.followed(settings)),
        folders=tuple(found),
        by_docker=lambda path: any(
            folders.leaves_out(Path(f.path), str(path.relative_to(f.path)), desired.images[f.name].source.file)
            for f in found
            if path.is_relative_to(f.path)
        ),
        by_git=lambda path: gitignore.ignores(Path(path)),
        inputs=frozenset(pattern.base for pattern in decisive),
        tests=tests,
        by_gate=lambda path: any(pattern.matches(path) for pattern in decisive),
    )


def paths(of: Watched) -> list[Path]:
    """Return what to follow to hear of every change that has a way."""
    built = (path for folder in of.folders for path in (folder.path, *folder.beside))
    return [Path(path) for path in (of.table, of.env_file, *of.manifests, *of.inputs, *of.tests, *built)]


def require_reachable(desired: Stack, of: Watched) -> None:
    """Raise UsageError for files that no container could be sent so that they outlive its restart."""
    images = desired.settings.project.images
    for name in (folder.name for folder in of.folders if folder.synced and folder.runs):
        if astray := sorted(unreachable(desired.ref(name), images[name].sync, desired.workloads)):
            raise UsageError(
                f"{desired.settings.file}: images.{name}.sync: no container that runs the image has an emptyDir volume "
                f"at {', '.join(astray)}\nhint: mount one there, which an init container fills from the image"
            )


class Files:
    """The files of an image's folder that are sent, read again only where they changed."""

    def __init__(self, of: Watched, folder: Folder) -> None:
        # What .dockerignore leaves out is not among what is asked about. What decides about a gate lies in the
        # containers too, and is new there by a new image.
        self._of = replace(of, by_docker=nothing, by_gate=nothing)
        self._folder, self._home = folder, Path(folder.path)
        self._read: dict[str, tuple[Stamp, File]] = {}

    def chosen(self, name: str) -> bool:
        """Whether a name of the folder is sent."""
        way = way_of(self._home / name, self._of)
        return way.kind is Kind.SYNC and self._folder.name in way.images

    def built(self, files: tuple[File, ...]) -> Tree:
        """Return those of the files that an image was built from that are sent."""
        return {file.path: file for file in files if self.chosen(file.path)}

    def now(self) -> Tree:
        """Return the files as they are now. One that goes meanwhile is not there.

        Raise UsageError where all of them are gone: that is rarely meant, and no container would run without.
        """
        if lost := [str(one.path) for one in self._folder.synced if not Path(one.path).exists()]:
            raise UsageError(f"{', '.join(lost)}: no such file or folder")
        found = {
            name: file for name in folders.contents(self._home) if self.chosen(name) and (file := self._file(name))
        }
        self._read = {name: kept for name, kept in self._read.items() if name in found}
        return found

    def _file(self, name: str) -> File | None:
        try:
            told = written(self._home / name)
            stamp = (told.st_mtime_ns, told.st_size, told.st_ino, told.st_mode)
            if (kept := self._read.get(name)) and kept[0] == stamp:
                return kept[1]
            file = folders.read(self._home, name)
        except FileNotFoundError:
            return None
        except UsageError as error:
            if isinstance(error.__cause__, FileNotFoundError):
                return None
            raise
        if file:
            self._read[name] = stamp, file
        return file


def written(path: Path) -> os.stat_result:
    """Return what lstat tells of a file once it is not just being written. Raise FileNotFoundError."""
    while True:
        told = path.lstat()
        age = time.time() - told.st_mtime
        if not 0 <= age < (WRITTEN_AFTER_S if told.st_size else FILLED_AFTER_S):
            return told
        time.sleep(LOOKS_EACH_S)
