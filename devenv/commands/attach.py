"""devenv attach: a process on this machine in the place of a workload.

The workload is scaled to nothing, and not only left without traffic: of what is taken from a queue, its pods would
else take a part. What is changed is written on the workload by the request that changes it, so that whatever ends us,
the next `devenv up` finds it and gives the place back.
"""

import shutil
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path

from devenv.commands.arrival import Arrival
from devenv.commands.attach_place import Place, look, meant
from devenv.errors import DevenvError, TimedOut, UsageError
from devenv.kube import attachment, stand_in
from devenv.kube.objects import Object
from devenv.kube.workloads import has_ended
from devenv.project import sources
from devenv.reconcile import attaching
from devenv.reconcile.environment import Environment
from devenv.reconcile.members import Members
from devenv.system import foreground, process, state
from devenv.system.foreground import Foreground
from devenv.system.wait import poll

GRACE_S, MORE_S = 30, 30.0  # Kubernetes' own default for a pod's end, and what its node takes beside it
Log = Callable[[str], None]


def attach(
    env: Environment, name: str, ports: Sequence[str], words: Sequence[str], container: str | None, log: Log
) -> int:
    """Run a command in the place of a workload and return its exit code; the place is given back whatever happens.

    Raise UsageError and DevenvError, before anything is changed, with what stands in the way.
    """
    if env.provider.shared:
        raise UsageError(
            f"attach needs a cluster of devenv's own: the pods of context {env.project.context} have no way to this "
            f"machine\nhint: without --context, devenv up makes such a cluster"
        )
    if not shutil.which(words[0]):
        raise UsageError(f"{words[0]}: not found on PATH")
    desired = sources.load(env.settings)
    wanted = meant(desired, name)
    with foreground.guarded() as command, attaching.held(env.folder, str(wanted.id)) as holds:
        with state.locked(env.folder, f"attach {name}", log):  # `up` may be under way; later ones find us
            place = look(env, desired, wanted, ports, container, words[0])
        refuse_others(env, place)
        for lack in place.lacks:
            log(lack)
        holds(str(place.workload.meta["uid"]))
        try:
            return run(env, place, command, words, log)
        finally:
            command.deafen()
            give_back(env, place, log)


def refuse_others(env: Environment, place: Place) -> None:
    """Raise DevenvError where what is to be made has a name that another object has."""
    if found := [str(o.id) for o in env.api.there(made(env, place)) if not attachment.is_part(o)]:
        raise DevenvError(f"{', '.join(found)} exists and is not of `devenv attach`; refusing to overwrite it")


def run(env: Environment, place: Place, command: Foreground, words: Sequence[str], log: Log) -> int:
    take(env, place, log)
    local = ", ".join(str(port.local) for port in place.ports)
    log(
        f"{place.workload.id}: its place is this command's; it is to listen on 0.0.0.0 or {place.address}, port {local}"
    )
    arrival = Arrival(env.project.name, place, log)
    arrival.start()
    try:
        return command.run(words, place.environment)
    finally:
        arrival.end()


def take(env: Environment, place: Place, log: Log) -> None:
    """Take the place: the files, the record with the pods' end, the traffic. Return when the pods are gone."""
    api, workload = env.api, place.workload
    write_files(env.folder.attached, place)
    api.merge(f"attach {workload.id}", workload, attachment.taking(place.record), attachment.FIELD_MANAGER)
    for obj in made(env, place):
        api.apply(obj)
    members, spec = Members(env, (workload.id,)), place.pod.raw["spec"]
    within_s = float(spec.get("terminationGracePeriodSeconds") or GRACE_S) + MORE_S
    told = False

    def left() -> Gone:
        nonlocal told
        names = [pod.id.name for _, pod in members.pods() if not has_ended(pod)]
        if names and not told:
            log(f"waiting for {', '.join(names)} to end")
            told = True
        return Gone(names)

    if names := poll(left, within_s).names:
        raise TimedOut(f"{', '.join(names)} has not ended after {within_s:.0f} s")


class Gone:
    """The pods that are left of a workload."""

    def __init__(self, names: list[str]) -> None:
        self.names = names

    @property
    def done(self) -> bool:
        return not self.names


def made(env: Environment, place: Place) -> list[Object]:
    """Return what is made for the traffic's way to the command."""
    pod, home = place.pod, env.project.namespace
    slices = stand_in.slices(
        place.services, place.ports, pod.raw["spec"], place.address, env.provider.node, place.workload
    )
    policies = stand_in.policies(place.policies, pod, place.space, place.ports, place.address)
    return [Object.parse(raw, home).claimed(env.project.name) for raw in (*slices, *policies)]


def give_back(env: Environment, place: Place, log: Log) -> None:
    """Give the place back, each part of it whatever becomes of the others. Raise DevenvError with what is left."""
    faults: list[str] = []

    def tried(do: Callable[[], object]) -> None:
        try:
            do()
        except Exception as error:  # a fault of ours, too, is not to keep the rest from being given back
            faults.append(str(error) if isinstance(error, DevenvError) else repr(error))

    tried(lambda: restore(env, place))
    for obj in made(env, place):
        tried(lambda obj=obj: env.api.delete(obj))  # type: ignore[misc]
    attaching.remove_files(env.folder)
    if faults:
        failed = "\n".join(dict.fromkeys(faults))
        raise DevenvError(f"{failed}\n{place.workload.id} has not its place back\nhint: devenv up gives it back")
    log(f"{place.workload.id} has its place back; its pods start (devenv wait {place.workload.id})")


def restore(env: Environment, place: Place) -> None:
    """Have the workload as it was."""
    api = env.api
    living = api.get(place.workload)
    if living is None or attachment.record_of(living) is None or living.meta["uid"] != place.workload.meta["uid"]:
        return
    api.merge(f"detach {living.id}", living, attachment.giving_back(living), attachment.FIELD_MANAGER)
    if place.desired.source == living.source:
        with suppress(DevenvError):  # its fields are ours again, as they were; `up` sees to it else
            api.apply(place.desired)


def write_files(folder: Path, place: Place) -> None:
    """Write the mounted files into a private folder, where only we may read them."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    folder.chmod(0o700)
    for mount in place.mounts:
        if mount not in place.files:
            made_below(folder, mount)
    for path, file in place.files.items():
        above, _, name = path.rpartition("/")
        target = made_below(folder, above) / name
        with open(target, "wb", opener=process.private) as out:
            out.write(file.data)
        if file.executable:
            target.chmod(0o700)


def made_below(folder: Path, path: str) -> Path:
    """Return the place of a path below a folder, each folder on the way made, private too."""
    for part in filter(None, path.split("/")):
        folder /= part
        folder.mkdir(mode=0o700, exist_ok=True)
    return folder
