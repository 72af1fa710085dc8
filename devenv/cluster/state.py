"""The states of a cluster. Pure."""

from enum import Enum


class Cluster(Enum):
    """The state of the cluster: of the kind cluster of our name, or of one that exists, which runs or is none."""

    ABSENT = "does not exist"
    FOREIGN = "was not made by devenv"
    UNFINISHED = "is half-made: its creation did not finish"
    STOPPED = "is stopped"
    PAUSED = "is paused"
    STARTING = "was just started, and its pods are not up again yet"
    UNREACHABLE = "runs, and its API server does not answer"
    RUNNING = "is running"

    @property
    def rests(self) -> bool:
        """Whether it is there with all that it holds, which is seen only when it runs."""
        return self in (Cluster.STOPPED, Cluster.PAUSED, Cluster.STARTING, Cluster.UNREACHABLE)

    @property
    def way_out(self) -> str:
        """The command that makes it run."""
        return WAYS_OUT.get(self, "devenv up")


WAYS_OUT = {
    Cluster.STOPPED: "devenv start",
    Cluster.PAUSED: "devenv resume",
    Cluster.STARTING: "devenv start",
    Cluster.UNREACHABLE: "devenv stop, then devenv start",
}
