"""Files put into running containers of our node, and these made to take them: straight on the node, so that neither a
shell nor tar need be in the image, and a read-only root is none of its concern.

What is written are emptyDir volumes: they outlive their containers, and go with their pod.
"""

import shlex
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from devenv.images import endpoint
from devenv.system import process

SENT_WITHIN_S = 60.0
# As the owner of the place that files go to: what a container has made of its volume is not for root to follow.
SEND = """
cd "/var/lib/kubelet/pods/$uid/volumes/kubernetes.io~empty-dir"
place=$base
until [ -e "$place" ]; do place=$(dirname "$place"); done
own=$(stat --format '--reuid=%u --regid=%g' "$place")
umask 022
[ $# -eq 0 ] || setpriv $own --clear-groups rm -rf -- "$@"
setpriv $own --clear-groups tar --extract --no-same-owner --file -
"""
# A name and the task's process of each of a pod's containers that the node has, such as have ended without one.
EACH = """
filter="labels.\\"io.kubernetes.pod.uid\\"==$uid,labels.\\"io.kubernetes.container.name\\"==$container"
tasks=$(ctr --namespace k8s.io tasks list)
for id in $(ctr --namespace k8s.io containers list --quiet "$filter"); do
    echo "$id"
    pid=$(printf '%s\\n' "$tasks" | awk -v id="$id" '$1 == id && $3 == "RUNNING" { print $2 }')
    [ -n "$pid" ] || continue
"""
MOMENT = "date +@%s.%N\n"
# The first process of a container gets of a signal only what it has a handler for.
RESTART = """
    case $(awk '/^SigCgt/ { print substr($2, length($2) - 3, 1) }' "/proc/$pid/status") in
    [4-7c-f])
        kill -TERM "$pid"
        # What it was doing is for nobody any more: a quarter of a second to end by itself.
        for _ in $(seq 5); do [ -d "/proc/$pid" ] || break; sleep 0.05; done
        ;;
    esac
    kill -KILL "$pid" 2>/dev/null || true
"""
# A process that has just started may not listen to it yet; one that never does would go on as it was, unsaid.
HEARS = """
    number=$(env kill -l %(name)s)
    for _ in $(seq 100); do
        caught=$(awk '/^SigCgt/ { print $2 }' "/proc/$pid/status")
        [ $((0x$caught >> (number - 1) & 1)) -eq 0 ] || break
        sleep 0.1
    done
    if [ $((0x$caught >> (number - 1) & 1)) -eq 0 ]; then
        echo "the first process of container $container does nothing at signal %(name)s" >&2
        exit 1
    fi
"""


@dataclass(frozen=True)
class Taken:
    """The containers of a name and pod that there were: one that starts later has the new files. And the moment, in
    seconds since 1970, from which on they may have taken them: what a log told before was of others.
    """

    ids: frozenset[str]
    at: float


@dataclass(frozen=True)
class Container:
    """A container of our node, by what names it there, and the places in its volumes that files go to."""

    uid: str  # of its pod
    name: str
    base: str  # VOLUME/PATH, whose owner is that of new files


def send(node: str, to: Container, archive: bytes, gone: Iterable[str], then: str, words: Sequence[str] = ()) -> Taken:
    """Put an archive of VOLUME/PATH… into a container's volumes, without what is `gone`; `then` have it take them."""
    given = {"uid": to.uid, "container": to.name, "base": to.base}
    head = "".join(f"{key}={shlex.quote(value)}\n" for key, value in given.items())
    script = f"set -eu\n{head}{MOMENT}{SEND}{EACH}{doing(then, words)}\ndone"
    argv = ["docker", "exec", "--interactive", node, "sh", "-c", script, "sh", *gone]
    told = process.run(argv, env=endpoint.variables(), stdin=archive, within_s=SENT_WITHIN_S)
    found = told.split()
    # The last of them: each act that follows the files has its own.
    return Taken(frozenset(w for w in found if w[0] != "@"), max(float(w[1:]) for w in found if w[0] == "@"))


def doing(then: str, words: Sequence[str]) -> str:
    """Return the shell's words for what is done to the process `pid` of container `id`."""
    match then:
        case "restart":
            return RESTART
        case "signal":
            name = shlex.quote(words[0])
            return f'{HEARS % {"name": name}}    {MOMENT}    kill -s {name} "$pid"\n'
        case "command":
            # As the container's own user, with its environment; what it says is told where it fails.
            command = shlex.join(words)
            return f'    {MOMENT}    ctr --namespace k8s.io tasks exec --exec-id "devenv-$$" "$id" {command} >&2'
        case _:
            return "    true"
