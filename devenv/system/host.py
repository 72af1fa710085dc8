"""What the kernel and the shell tell of this machine. What a system does not have is None."""

import os
import resource
from collections.abc import Mapping
from pathlib import Path

LOOPBACK = ("127.0.0.1", "localhost")


def number(file: str) -> int | None:
    """Return the number that a file of the kernel's holds."""
    try:
        return int(Path(file).read_text())
    except (OSError, ValueError):
        return None


def inotify() -> tuple[int | None, int | None]:
    """Return how many instances and watches of inotify a user may have."""
    found = [number(f"/proc/sys/fs/inotify/max_user_{name}") for name in ("instances", "watches")]
    return found[0], found[1]


def open_files() -> int:
    """Return how many files a process of this shell may open."""
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return soft


def available_bytes() -> int | None:
    """Return the memory that is to be had without swapping (proc_meminfo(5))."""
    try:
        lines = Path("/proc/meminfo").read_text().splitlines()
    except OSError:
        return None
    told = next((line.split() for line in lines if line.startswith("MemAvailable:")), None)
    return int(told[1]) << 10 if told else None


def has_interface(name: str) -> bool:
    return Path("/sys/class/net", name).exists()


def knows_interfaces() -> bool:
    return Path("/sys/class/net").exists()


def asks_a_proxy_for_loopback(environ: Mapping[str, str] | None = None) -> str:
    """Return the variable by which programs ask a proxy for addresses of this machine itself, or an empty string."""
    values = {key.lower(): value for key, value in (os.environ if environ is None else environ).items()}
    proxy = next((key for key in ("http_proxy", "all_proxy") if values.get(key)), "")
    spared = [entry.strip() for entry in values.get("no_proxy", "").split(",")]
    return "" if not proxy or "*" in spared or all(name in spared for name in LOOPBACK) else proxy.upper()
