"""What a start of a cluster that rested does of a plan, and what it leaves to `up`."""

from devenv.cluster.state import Cluster
from devenv.commands.rest import waits
from devenv.reconcile.observed import Observed
from devenv.reconcile.plan import make_plan
from tests.test_plan import wanted


def test_a_start_waits_for_what_is_in_the_cluster_and_does_nothing_else_of_a_plan() -> None:
    desired = wanted()
    there = {o.id: o for o in desired.objects if o.kind in ("Deployment", "Service")}
    changed = dict.fromkeys(there, "another source")
    observed = Observed(cluster=Cluster.RUNNING, living=there, sources=changed)
    steps = make_plan(desired, observed)
    assert {"apply deployment/api", "apply statefulset/db", "run job/migrate"} <= {s.name for s in steps}
    assert [s.name for s in waits(steps, observed)] == ["ready deployment/api"]


def test_only_a_cluster_that_rests_has_a_way_out_of_its_own() -> None:
    own = {c.name: c.way_out for c in Cluster if c.way_out != "devenv up"}
    assert own == {
        "STOPPED": "devenv start", "PAUSED": "devenv resume", "STARTING": "devenv start",
        "UNREACHABLE": "devenv stop, then devenv start",
    }  # fmt: skip
    assert set(own) == {c.name for c in Cluster if c.rests}
