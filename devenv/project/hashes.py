"""The hashes of Secrets, which are slow to make, kept in the runtime folder until the machine starts again."""

import hmac
import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from secrets import token_hex
from threading import Lock

from devenv.kube.objects import COST, Object, config_hash, hashed_text
from devenv.system import state

Hash = Callable[[Object], str]
KEY_BYTES = 32
BOOT = Path("/proc/sys/kernel/random/boot_id")  # random(4): another at each start of the machine


@contextmanager
def kept(file: Path, boot_file: Path = BOOT) -> Iterator[Hash]:
    """Yield `config_hash` that remembers in a private file what it has made of which Secret.

    A Secret is known again by a keyed digest of all that its hash is made of. Its key is not in the file alone: without
    the boot ID of the machine, a copy of the file lets nobody guess faster than the slow hash does. Nothing is kept
    where there is none, or where the file's folder is not there.
    """
    boot = boot_id(boot_file)
    if not boot or not file.parent.is_dir():
        yield config_hash
        return
    key, known = read(file)
    used, noting = dict[str, str](), Lock()

    def hashed(obj: Object) -> str:
        if obj.kind != "Secret":
            return config_hash(obj)
        mark = hmac.digest((key + boot).encode(), content(obj), "sha256").hex()
        found = known.get(mark) or config_hash(obj)
        with noting:  # threads hash
            used[mark] = found
        return found

    yield hashed
    if not used.keys() <= known.keys():
        with suppress(OSError):  # what cannot be kept is made again
            state.write_json(file, {"key": key, "hashes": used})


def boot_id(file: Path) -> str:
    try:
        return file.read_text().strip()
    except OSError:
        return ""


def content(obj: Object) -> bytes:
    """Return all that the hash of an object is made of."""
    text, salt = hashed_text(obj)
    return json.dumps([COST, salt.decode(), text.decode()], sort_keys=True).encode()


def read(file: Path) -> tuple[str, dict[str, str]]:
    """Return the key and the hashes of a file, by their marks; a new key and none where it is not as we write it."""
    match state.read_json(file):
        case {"key": str(key), "hashes": dict(hashes)} if len(key) == 2 * KEY_BYTES:
            return key, {mark: text for mark, text in hashes.items() if isinstance(text, str)}
    return token_hex(KEY_BYTES), {}
