"""devenv doctor: what of this machine stands in the way, each with what to do about it. Changes nothing."""

import platform
import shutil
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from typing import Any

from devenv import __version__
from devenv.errors import DevenvError
from devenv.images import builder, daemon
from devenv.project import sources
from devenv.project.settings import Settings, port_variable
from devenv.reconcile import forwards
from devenv.reconcile.preflight import FIRST_BUILD_BYTES, WARM_BYTES
from devenv.system import host, process, state

ROOM_BYTES = 4 << 30  # of memory, for a node with a stack
# What kernels have by default; a cluster of three nodes runs with it (kind, "Pod errors due to too many open files").
INSTANCES, WATCHES = 128, 8192
FILES = 1024  # of a process; the forwards hold two for each connection
APART_S = 5.0  # between two clocks: certificates and leases are judged by them
VERSION_WITHIN_S = 10.0
# Programs, whether every project needs them, and what for.
PROGRAMS = (
    ("kind", True, "version", "makes the cluster"),
    ("kubectl", True, "version --client", "renders kustomize folders"),
    ("go", False, "version", "builds images from packages where no registry answers"),
    ("helm", False, "version --short", "renders charts"),
    ("git", False, "--version", "names the commit of pushed images"),
)


class Level(StrEnum):
    ok = "ok"
    warning = "warning"
    fault = "fault"


@dataclass(frozen=True)
class Check:
    """What was looked at, what was found, and what to do where that is not well."""

    name: str
    level: Level
    found: str
    fix: str = ""


def checks(settings: Settings | None) -> list[Check]:
    """Look at the machine and, where there is a project, at the ports that it needs."""
    found = [
        Check("devenv", Level.ok, f"{__version__}, Python {platform.python_version()}, {platform.platform()}"),
        *docker(),
        *(program(*one) for one in PROGRAMS),
        *limits(*host.inotify(), host.open_files(), host.available_bytes()),
        proxy(host.asks_a_proxy_for_loopback()),
    ]
    return [*found, *ports(settings)] if settings else found


def docker() -> Iterator[Check]:
    """Yield what is to be said of the Docker daemon; only that it does not answer, where it does not."""
    try:
        seen = daemon.info()
        network = daemon.bridge()
    except DevenvError as error:
        said, _, hint = str(error).partition("\nhint: ")
        yield Check("docker", Level.fault, said, hint or "start Docker, or run scripts/setup.sh of a devenv checkout")
        return
    told = f"{seen['ServerVersion']}, {seen['NCPU']} CPUs, {gb(seen['MemTotal'])}, cgroup v{seen['CgroupVersion']}"
    yield Check("docker", Level.ok, f"{told}, {seen['Driver']}")
    yield builds(builder.buildkit_program())
    local = Path(seen["DockerRootDir"])
    if local.exists():
        yield disk(local, shutil.disk_usage(local).free)
        if host.knows_interfaces():
            yield bridge(network, host.has_interface(network))
    if "SystemTime" in seen:
        yield clock((datetime.fromisoformat(seen["SystemTime"]) - datetime.now(UTC)).total_seconds())


def builds(buildkit: str | None) -> Check:
    if buildkit:
        return Check("builder", Level.ok, f"BuildKit, by {buildkit}")
    return Check(
        "builder", Level.warning, "the classic builder: no RUN --mount, heredoc or COPY --link", builder.LACKING
    )


def disk(root: Path, free: int) -> Check:
    level = Level.fault if free < WARM_BYTES else Level.warning if free < FIRST_BUILD_BYTES else Level.ok
    needed = (
        f"a start needs {gb(WARM_BYTES)}, a first build {gb(FIRST_BUILD_BYTES)}: docker system df shows what is held"
    )
    return Check("disk", level, f"{gb(free)} free in {root}", "" if level is Level.ok else needed)


def bridge(name: str, there: bool) -> Check:
    if there:
        return Check("network", Level.ok, f"interface {name}")
    return Check("network", Level.fault, f"the interface {name} is gone: no build reaches anything", "restart Docker")


def clock(apart_s: float) -> Check:
    if abs(apart_s) <= APART_S:
        return Check("clock", Level.ok, "Docker's and this machine's agree")
    ahead = "ahead of" if apart_s > 0 else "behind"
    found = f"Docker's is {abs(apart_s):.0f} s {ahead} this machine's: certificates and leases are judged by it"
    return Check("clock", Level.warning, found, "restart Docker, or set the clock of its machine")


def program(name: str, needed: bool, words: str, what_for: str) -> Check:
    """Say which program of a name is run, by its own word."""
    try:
        path = process.find(name, [state.cache() / "bin"])
        said = process.run([path, *words.split()], within_s=VERSION_WITHIN_S).strip()
    except DevenvError as error:
        level = Level.fault if needed else Level.warning
        return Check(name, level, str(error).split("\n")[0], f"install it, or run scripts/setup.sh: it {what_for}")
    return Check(name, Level.ok, f"{said.splitlines()[0] if said else '?'} ({path})")


def limits(instances: int | None, watches: int | None, files: int, available: int | None) -> Iterator[Check]:
    """Yield what is to be said of the limits of the machine; nothing of what it does not have."""
    if instances is not None and watches is not None:
        well = instances >= INSTANCES and watches >= WATCHES
        fix = "" if well else "sysctl fs.inotify.max_user_instances=512 fs.inotify.max_user_watches=524288"
        level = Level.ok if well else Level.warning
        yield Check("inotify", level, f"{instances} instances, {watches} watches", fix)
    well = files >= FILES
    yield Check("files", Level.ok if well else Level.warning, f"{files} to a process", "" if well else "ulimit -n 4096")
    if available is not None:
        well = available >= ROOM_BYTES
        fix = "" if well else f"end what holds memory: below {gb(ROOM_BYTES)} pods may be killed for it"
        yield Check("memory", Level.ok if well else Level.warning, f"{gb(available)} available", fix)


def proxy(variable: str) -> Check:
    if not variable:
        return Check("proxy", Level.ok, "addresses of this machine are asked for directly")
    found = f"{variable} is set, and NO_PROXY does not spare 127.0.0.1 and localhost"
    return Check("proxy", Level.warning, found, "export NO_PROXY=127.0.0.1,localhost: your own programs ask it too")


def ports(settings: Settings) -> Iterator[Check]:
    """Yield the local ports that another listens on; ours, where their process runs, are ours."""
    folder = sources.runtime(settings)
    wanted = {f.local_port: name for name, f in settings.project.forwards.items()}
    if state.is_locked(folder.forwards_lock):
        yield Check("ports", Level.ok, f"{listed(wanted)} are served")
        return
    taken = {port: name for port, name in wanted.items() if not forwards.is_free(port)}
    for port, name in taken.items():
        found = f"{port}, of forward {name}, is in use by {forwards.holder(port)}"
        yield Check("ports", Level.fault, found, f"stop it, or set {port_variable(name)} to a free port")
    if not taken:
        yield Check("ports", Level.ok, f"{listed(wanted)} are free")


def listed(found: Iterable[int]) -> str:
    return ", ".join(map(str, sorted(found))) or "none"


def gb(count: Any) -> str:
    return f"{int(count) / 1e9:.1f} GB"


def is_well(found: Iterable[Check]) -> bool:
    return all(check.level is not Level.fault for check in found)
