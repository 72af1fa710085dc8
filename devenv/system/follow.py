"""Changed files, as the system tells of them: gathered until somebody takes them."""

import threading
from collections.abc import Iterable
from pathlib import Path

from devenv.errors import DevenvError

# A save is often several changes; what follows within this time belongs to it.
QUIET_MS, AT_MOST_MS, LOOKS_EACH_MS = 50, 1000, 200


class Following:
    """Follows files and folders, each with all that is in it, in threads of its own."""

    def __init__(self) -> None:
        self._changed, self._condition = set[Path](), threading.Condition()
        self._stop, self._paths = threading.Event(), frozenset[Path]()
        self._error: Exception | None = None
        self._woken = False

    def follow(self, paths: Iterable[Path], anew: bool = False) -> bool:
        """Follow these from now on, and no others; return whether these are others than before, or it is `anew`.

        A folder that was removed is not followed when it is back, but anew. What does not exist is seen when it is
        made, if its folder is there. A file is followed by its folder, for an editor may put another in its place.
        """
        wanted = frozenset(paths)
        if wanted == self._paths and not anew:
            return False
        before, self._stop, self._paths = self._stop, threading.Event(), wanted
        folders = {path for path in wanted if path.is_dir()}
        # Each is told of by one thread: from another, the same change would come once more, a moment later.
        deep = sorted(path for path in folders if folders.isdisjoint(path.parents))
        above = {path.parent for path in wanted if not path.is_dir() and path.parent.is_dir()}
        flat = sorted(path for path in above if folders.isdisjoint((path, *path.parents)))
        begun = [self._begin(folders, whole) for folders, whole in ((deep, True), (flat, False)) if folders]
        for ready in begun:
            ready.wait(5)
        before.set()
        return True

    def _begin(self, folders: list[Path], whole: bool) -> threading.Event:
        ready = threading.Event()
        threading.Thread(target=self._watch, args=(folders, whole, self._stop, ready), daemon=True).start()
        return ready

    def _watch(self, folders: list[Path], whole: bool, stop: threading.Event, ready: threading.Event) -> None:
        from watchfiles import watch

        found = watch(
            *folders, watch_filter=None, recursive=whole, ignore_permission_denied=True, raise_interrupt=False,
            debounce=AT_MOST_MS, step=QUIET_MS, rust_timeout=LOOKS_EACH_MS, yield_on_timeout=True, stop_event=stop,
        )  # fmt: skip
        try:
            for changes in found:
                ready.set()
                self._add(Path(path) for _, path in changes)
        except Exception as error:  # such as no more inotify watches: told by the next `take`
            self._error = error
            self._add(())
        finally:
            ready.set()

    def _add(self, paths: Iterable[Path]) -> None:
        with self._condition:
            self._changed.update(paths)
            self._condition.notify_all()

    def wake(self) -> None:
        """Have the next `take`, or the one that waits, return at once."""
        with self._condition:
            self._woken = True
            self._condition.notify_all()

    def follows(self, path: Path) -> bool:
        """Whether a path is one of those named, and not only in one of them."""
        return path in self._paths

    @property
    def waiting(self) -> bool:
        """Whether something has changed that was not taken yet."""
        return bool(self._changed)

    def take(self, within_s: float) -> frozenset[Path]:
        """Return what has changed since the last call, all at once; nothing where that is nothing for so long, or until
        it is woken.

        Raise DevenvError where the system does not tell of changes.
        """
        with self._condition:
            self._condition.wait_for(lambda: self._changed or self._error or self._woken, within_s)
            self._woken = False
            if self._error:
                raise DevenvError(f"files cannot be followed: {self._error}") from self._error
            taken, self._changed = frozenset(self._changed), set()
            return taken

    def end(self) -> None:
        self._stop.set()
