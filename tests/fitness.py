"""Whether this machine can bear clusters: told before any test, for a missing bridge turns every one of them red."""

import shutil
import subprocess
import sys
from pathlib import Path

NEEDED_BYTES = 8 << 30
# What kernels have by default; three nodes run with it (kind: "Pod errors due to too many open files").
INOTIFY_INSTANCES = 128


def unfit() -> str:
    """Return what this machine lacks and what to do about it, or an empty string."""
    try:
        root = docker("info", "--format", "{{.DockerRootDir}}")
    except (OSError, subprocess.SubprocessError) as error:
        return f"Docker does not answer ({error}): start it, or run ./scripts/setup.sh"
    try:
        docker("network", "inspect", "bridge")
    except subprocess.SubprocessError:
        return "Docker has no network `bridge`: restart dockerd without --bridge=none"
    if sys.platform == "linux" and not Path("/sys/class/net/docker0").exists() and Path(root).exists():
        return "the interface docker0 is gone, so no build reaches a registry: restart dockerd"
    if Path(root).exists() and (free := shutil.disk_usage(root).free) < NEEDED_BYTES:
        return f"{root} has {free / 1e9:.1f} GB free, {NEEDED_BYTES / 1e9:.0f} GB are needed: docker system df"
    limit = Path("/proc/sys/fs/inotify/max_user_instances")
    if limit.exists() and int(limit.read_text()) < INOTIFY_INSTANCES:
        return f"fs.inotify.max_user_instances is below {INOTIFY_INSTANCES}: sysctl fs.inotify.max_user_instances=512"
    return ""


def docker(*words: str) -> str:
    argv = ["docker", *words]
    return subprocess.run(argv, check=True, capture_output=True, text=True, timeout=20).stdout.strip()


if __name__ == "__main__":
    if why := unfit():
        sys.exit(f"this machine cannot run the tests: {why}")
