"""Performing a plan: steps that need nothing of each other run together; where one fails, what can be undone is."""

from collections.abc import Callable, Iterable
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field, replace
from functools import partial
from graphlib import TopologicalSorter
from time import monotonic

from devenv.errors import DevenvError, Interrupted
from devenv.reconcile.actions import Step
from devenv.reconcile.handlers import Handlers
from devenv.reconcile.timeline import Mark
from devenv.system.cancel import Cancel


@dataclass(frozen=True)
class Event:
    """A step that started, finished, failed or was cancelled, at a time of the monotonic clock."""

    step: Step
    state: str  # started, done, failed; cancelled, of which only the timeline is told
    seconds: float = 0.0
    note: str = ""
    at: float = field(default_factory=monotonic)


OnEvent = Callable[[Event], None]


@dataclass
class Executor:
    """Performs the plans of one command. `begun` are the steps of the last plan that were started, in that order."""

    handlers: Handlers
    on_event: OnEvent
    begun: list[Step] = field(default_factory=list)

    def perform(self, steps: Iterable[Step], drain: bool = False) -> None:
        """Perform all steps, each when those it needs are done. The first failure cancels the rest and is raised.

        With `drain`, steps under way at that moment have ended when this returns, so that they can be undone.
        """
        by_name = {step.name: step for step in steps}
        order = TopologicalSorter({n: [b for b in s.needs if b in by_name] for n, s in by_name.items()})
        order.prepare()
        self.begun.clear()
        cancel = self.handlers.cancel
        pool = ThreadPoolExecutor(max_workers=max(1, len(by_name)))
        running: dict[Future[None], str] = {}
        try:
            while order.is_active():
                for name in order.get_ready():
                    running[pool.submit(partial(self.one, by_name[name]))] = name
                for future in wait(running, return_when=FIRST_COMPLETED).done:
                    future.result()
                    order.done(running.pop(future))
        except BaseException:
            cancel.request()
            raise
        finally:
            pool.shutdown(wait=drain or not cancel.requested, cancel_futures=True)

    def perform_or(self, steps: Iterable[Step], back: Callable[[], str]) -> None:
        """Perform all steps. Where that fails, bring `back` what was changed, and raise the cause with what it says."""
        try:
            self.perform(steps, drain=True)
        except KeyboardInterrupt:
            raise Interrupted(f"interrupted; {back()}") from None
        except DevenvError as error:
            failure = DevenvError(f"{error}\n{back()}")
            failure.exit_code = error.exit_code
            raise failure from error
        except Exception as error:  # our own fault, and the environment's none the less
            error.add_note(back())
            raise

    def one(self, step: Step) -> None:
        """Do what a step does, and report its start and its end."""
        start = monotonic()
        self.begun.append(step)
        self.tell(Event(step, "started", at=start))
        try:
            note = self.handlers.do(step.action, step.within_s)
        except BaseException as error:
            state = "cancelled" if self.handlers.cancel.requested else "failed"
            self.tell(Event(step, state, monotonic() - start, str(error).split("\n")[0]))
            raise
        self.tell(Event(step, "done", monotonic() - start, note))

    def tell(self, event: Event) -> None:
        self.handlers.env.run.mark(Mark(event.step.name, event.state, event.at, event.step.needs))
        if event.state != "cancelled":  # what was cancelled is no news to the one who cancelled it
            self.on_event(event)

    def undo(self, then: Iterable[Step] = ()) -> None:
        """Take back what the last plan did, the last step first, and perform the steps of `then`.

        What is undone was cancelled; its undoing is not. One that fails hinders no other: all that failed is raised
        when every step has had its turn, and `then` is left out.
        """
        again = Executor(replace(self.handlers, cancel=Cancel()), self.on_event)
        needs = tuple(step.name for step in self.begun)
        faults = []
        for step in reversed(self.begun):
            if step.undo:
                name = f"undo {step.name.removeprefix('apply ')}"
                try:
                    again.one(Step(name, step.undo, "a later step failed", step.within_s, needs))
                except DevenvError as error:
                    faults.append(str(error))
                needs = (name,)
        if faults:
            raise DevenvError("\n".join(faults))
        for step in then:
            again.one(replace(step, needs=needs))
            needs = (step.name,)
