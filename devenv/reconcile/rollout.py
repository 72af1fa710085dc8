"""Objects of a cluster brought about and waited for, one at a time."""

from collections.abc import Iterable
from dataclasses import dataclass

from devenv.errors import DevenvError, TimedOut
from devenv.kube.objects import Object
from devenv.kube.readiness import Level, Readiness
from devenv.reconcile import observe, replacing
from devenv.reconcile.environment import Environment
from devenv.system.cancel import Cancel
from devenv.system.wait import poll

GONE_WITHIN_S = 60.0


@dataclass(frozen=True)
class Waiter:
    """Waits for objects on behalf of one command, and says what to do where that was in vain."""

    env: Environment
    cancel: Cancel
    retry: str  # the command to repeat once the cause is mended

    def replace(self, obj: Object) -> None:
        """Delete an object and apply it anew. The pods of a StatefulSet go on, and are its own again."""
        if obj.kind == replacing.CLAIM:
            self.delete_claim(obj)
        else:
            self.delete(obj, orphans=obj.kind == "StatefulSet")
        self.env.api.apply(obj)

    def delete_claim(self, claim: Object) -> None:
        """Delete a claim and the pods that hold it; those that are made in their place wait for the next one."""
        self.env.api.delete(claim)
        holding = [p for p in self.env.api.objects("v1", "Pod", (claim.id.namespace,)) if replacing.mounts(p, claim)]
        for pod in holding:
            self.env.api.delete(pod)
        self.await_gone([claim], GONE_WITHIN_S)

    def delete(self, obj: Object, orphans: bool = False) -> None:
        """Delete an object and see it gone with what it owns, or without."""
        self.env.api.delete(obj, orphans=orphans)
        self.await_gone([obj], GONE_WITHIN_S)

    def await_gone(self, objects: Iterable[Object], within_s: float) -> None:
        """See objects gone, with what they own. Raise TimedOut with those that stay."""
        left = [*objects]

        def gone() -> Readiness:
            names = ", ".join(str(o.id) for o in self.env.api.there(left))
            return Readiness(Level.PENDING if names else Level.READY, names, "is being deleted")

        seen = poll(gone, within_s, self.cancel)
        if seen.level is not Level.READY:
            raise TimedOut(f"{seen.what} is still being deleted after {within_s:.0f} s; run `{self.retry}` again")

    def await_ready(self, obj: Object, within_s: float) -> Readiness:
        """Wait until an object is ready, and return what was seen."""
        seen = poll(observe.patiently(lambda: observe.look(self.env.api, obj)), within_s, self.cancel)
        log = (
            f"\nthe end of its log (pod {seen.culprit.name}):\n{self.env.api.log(seen.culprit)}" if seen.culprit else ""
        )
        self.require(seen, within_s, log)
        return seen

    def await_end(self, obj: Object, within_s: float) -> None:
        """Wait until a Job is complete or has failed; raise TimedOut where it comes to no end."""
        seen = poll(observe.patiently(lambda: observe.look(self.env.api, obj)), within_s, self.cancel)
        if seen.level is Level.PENDING and not self.cancel.requested:
            raise TimedOut(
                f"{seen.what} has not ended after {within_s:.0f} s: {seen.why}\n"
                f"hint: kubectl -n {obj.id.namespace} delete job/{obj.id.name}, if it may be ended, "
                f"and run `{self.retry}` again"
            )

    def require(self, seen: Readiness, within_s: float, log: str = "") -> None:
        """Return if what was waited for is ready; else raise with the reason and the culprit's last words."""
        if seen.level is Level.READY:
            return
        if self.cancel.requested:
            raise DevenvError(f"{seen.what}: cancelled")
        if seen.level is Level.FAILED:
            raise DevenvError(f"{seen.what} failed: {seen.why}{log}{self.advice(seen)}")
        raise TimedOut(f"{seen.what} is not ready after {within_s:.0f} s: {seen.why}{log}")

    def advice(self, seen: Readiness) -> str:
        what, namespace = seen.what, self.env.project.namespace
        if seen.culprit:
            what, namespace = f"pod/{seen.culprit.name}", seen.culprit.namespace
        else:
            what, _, elsewhere = what.partition("@")
            namespace = elsewhere or namespace
        return f"\nhint: kubectl -n {namespace} describe {what}; fix the cause and run `{self.retry}` again"
