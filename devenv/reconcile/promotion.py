"""The plan of a promotion: in which order what changes, and how each change is taken back. Pure."""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import replace

from devenv.kube import drift, verdict
from devenv.kube.objects import Object
from devenv.kube.readiness import Level
from devenv.reconcile.actions import ApplyObjects, AwaitEnd, AwaitReady, DeleteObject, RunJob, Step
from devenv.reconcile.changes import Change, Kind, ours, shown
from devenv.reconcile.plan import complete_step

REPLICAS = ("f:spec", "f:replicas")


def before_jobs(changes: Iterable[Change], jobs: Iterable[Object]) -> list[Change]:
    """Return what Jobs need that run before the rollout: what they read, and what is not there yet, such as their
    database. What runs an image of theirs is the application itself, which waits for them.
    """
    waiting = {image for job in jobs for image in job.images}
    read = {id_ for job in jobs for id_ in job.references}
    return [
        c for c in changes if c.does and (c.wanted.id in read or (c.kind is Kind.new and not c.wanted.images & waiting))
    ]


def make_plan(changes: Sequence[Change], checks: Collection[str], within_s: float) -> tuple[Step, ...]:
    """Return the steps of a promotion, one after the other: the end of Jobs that run still, what Jobs need, the Jobs,
    the rollout, the checks; at last goes what the release dropped.

    A step that changes an object has what brings the former object back. Where nothing is to be done, the workloads and
    the checks tell whether the environment is well: an earlier promotion may have been cut off.
    """
    jobs = [c.wanted for c in changes if c.kind is Kind.runs]
    running = [c.wanted for c in changes if c.kind is Kind.runs and is_running(c)]
    last = [job for job in jobs if str(job.id) in checks]
    first = [job for job in jobs if job not in last]
    early = before_jobs(changes, first)
    late = [c for c in changes if c.does and c not in early]
    return chained(
        [
            *(Step(f"end {job.id}", AwaitEnd(job), "runs still", within_s) for job in running),
            *(apply_step(c, within_s) for c in early),
            *job_steps("run", first, within_s),
            *(apply_step(c, within_s) for c in late),
            *(Step(f"ready {w.id}", AwaitReady(w), "rolls out", within_s) for w in workloads(changes)),
            *job_steps("check", last, within_s),
            *(complete_step(job, "was just started", within_s) for job in jobs),
            *(
                Step(f"delete {c.name}", DeleteObject(c.wanted), "no longer rendered", within_s)
                for c in changes
                if c.kind is Kind.pruned
            ),
        ]
    )


def is_running(change: Change) -> bool:
    """Whether a Job of before runs still: it may be in the midst of a database."""
    return change.before is not None and verdict.of("", change.before).level is Level.PENDING


def apply_step(change: Change, within_s: float) -> Step:
    undo = ApplyObjects((former(change),)) if change.kind is Kind.changed else None
    return Step(f"apply {change.name}", ApplyObjects((change.wanted,)), change.kind, within_s, undo=undo)


def job_steps(word: str, jobs: Iterable[Object], within_s: float) -> list[Step]:
    return [
        step
        for job in jobs
        for step in (
            Step(f"{word} {job.id}", RunJob(job), "runs again", within_s),
            Step(f"ready {job.id}", AwaitReady(job), "was just started", within_s),
        )
    ]


def chained(steps: Sequence[Step]) -> tuple[Step, ...]:
    """Return the steps, each of which needs the one before it."""
    before = [(), *((step.name,) for step in steps)]
    return tuple(replace(step, needs=needs) for step, needs in zip(steps, before, strict=False))


def workloads(changes: Iterable[Change]) -> list[Object]:
    """Return the workloads that are waited for: those that these credentials may look at."""
    seen = (Kind.new, Kind.changed, Kind.same)
    return [c.wanted for c in changes if c.wanted.runs and c.wanted.kind != "Job" and c.kind in seen]


def former(change: Change) -> Object:
    """Return what to apply so that an object is again as it was.

    Server-side apply of the whole former object gives up every field that the promotion added. Replicas that are not
    ours by the API server's own list, and that the manifest does not name, belong to an autoscaler.
    """
    assert change.before
    old = shown(change.before.raw)
    meta = {**old["metadata"], "annotations": ours(change.before.meta)}
    raw = {**old, "metadata": meta}
    named = "replicas" in (change.wanted.raw.get("spec") or {})
    if not named and "replicas" in raw.get("spec", {}) and not drift.is_ours(change.before, REPLICAS):
        raw["spec"] = {key: value for key, value in raw["spec"].items() if key != "replicas"}
    return Object(change.before.id, raw)
