"""Objects of a cluster brought about and waited for, one at a time: what `up` and `promote` have in common."""

from devenv import manifest, observe, process
from devenv.errors import DevenvError, TimedOut
from devenv.kube import Api
from devenv.manifest import Document
from devenv.readiness import Level, Readiness
from devenv.wait import settle

GONE_WITHIN_S = 60.0


def run_job(api: Api, job: Document) -> None:
    """Run a Job anew: a Job's template cannot be changed, so the old one goes first."""
    delete_whole(api, job)
    api.apply(job)


def delete_whole(api: Api, obj: Document) -> None:
    """Delete an object and see it gone with what it owns."""
    api.delete(obj)

    def gone() -> Readiness:
        there = api.get(obj) is not None
        return Readiness(Level.PENDING if there else Level.READY, manifest.key(obj), "is being deleted")

    settled(settle(gone, GONE_WITHIN_S, process.called_off()), GONE_WITHIN_S, api.namespace, "")


def await_ready(api: Api, obj: Document, within_s: float, again: str) -> None:
    """Wait until an object is ready. `again` is the command that a person repeats once the cause is mended."""
    seen = settle(lambda: observe.look(api, obj), within_s, process.called_off())
    words = f"\nthe end of its log (pod {seen.culprit}):\n{api.log(seen.culprit)}" if seen.culprit else ""
    settled(seen, within_s, api.namespace, again, words)


def settled(seen: Readiness, within_s: float, namespace: str, again: str, words: str = "") -> None:
    """Return if what was waited for is ready; else raise with the reason and the culprit's last words."""
    if seen.level is Level.READY:
        return
    if process.called_off().is_set():
        raise DevenvError(f"{seen.what}: called off")
    if seen.level is Level.FAILED:
        raise DevenvError(f"{seen.what} failed: {seen.why}{words}{advice(seen, namespace, again)}")
    raise TimedOut(f"{seen.what} is not ready after {within_s:.0f} s: {seen.why}{words}")


def advice(seen: Readiness, namespace: str, again: str) -> str:
    what, _, elsewhere = (f"pod/{seen.culprit}" if seen.culprit else seen.what).partition("@")
    return f"\nnext: kubectl -n {elsewhere or namespace} describe {what}; mend it and run `{again}` again"
