"""Performing a plan: each act does one thing to the world; steps that need nothing of each other run together."""

from collections.abc import Callable, Iterable
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from graphlib import TopologicalSorter
from time import monotonic

from devenv import acts, forward, images, kind, manifest, observe, process, provider, provision, request, rollout, state
from devenv.acts import Step
from devenv.errors import DevenvError
from devenv.kube import Api
from devenv.readiness import Level, Readiness
from devenv.stack import Stack
from devenv.state import Folder
from devenv.wait import settle

API_WITHIN_S, FORWARDS_WITHIN_S = 120.0, 60.0


@dataclass(frozen=True)
class Event:
    """What happened to a step, for whoever reports it."""

    step: Step
    state: str  # started, done, failed
    seconds: float = 0.0
    note: str = ""


Tell = Callable[[Event], None]


def perform(steps: Iterable[Step], want: Stack, where: Folder, tell: Tell) -> None:
    """Perform all steps, each when those it needs are done. The first failure calls the rest off and is raised."""
    by_name = {step.name: step for step in steps}
    order = TopologicalSorter({n: [b for b in s.needs if b in by_name] for n, s in by_name.items()})
    order.prepare()
    hand = Hand(want, where)
    pool = ThreadPoolExecutor(max_workers=max(1, len(by_name)))
    running: dict[Future[None], str] = {}
    try:
        while order.is_active():
            for name in order.get_ready():
                step = by_name[name]
                running[pool.submit(one, step, tell, partial(hand.do, step.act, step.within_s))] = name
            for future in wait(running, return_when=FIRST_COMPLETED).done:
                future.result()
                order.done(running.pop(future))
    except BaseException:
        process.call_off()
        raise
    finally:
        pool.shutdown(wait=not process.called_off().is_set(), cancel_futures=True)


def one(step: Step, tell: Tell, do: Callable[[], str]) -> None:
    """Do what a step does and tell of its start and its end; `do` returns what is worth telling of it."""
    start = monotonic()
    tell(Event(step, "started"))
    try:
        note = do()
    except BaseException as error:
        if not process.called_off().is_set():
            tell(Event(step, "failed", monotonic() - start, str(error).split("\n")[0]))
        raise
    tell(Event(step, "done", monotonic() - start, note))


class Hand:
    """Does the acts of one stack."""

    def __init__(self, want: Stack, where: Folder) -> None:
        self.want, self.where, self.project = want, where, want.settings.project
        self.provider = provider.of(want.settings, where)

    def api(self) -> Api:
        return observe.connect(self.want.settings, self.where)

    def do(self, act: acts.Act, within_s: float) -> str:
        """Perform an act and return what is worth telling of it."""
        match act:
            case acts.WriteEnvFile():
                return self.write_env_file()
            case acts.ObtainImage(image, pull, anew):
                return images.obtain(self.want.images, image, pull, self.where.log(f"image-{image}"), anew)
            case acts.MakeCluster(stopped):
                return self.start_cluster() if stopped else self.create_cluster()
            case acts.LoadImage(image):
                return self.provider.bring(self.want.images[image].ref, self.want.ref(image), self.want.aliases[image])
            case acts.ApplyObjects(keys):
                return self.apply(keys)
            case acts.RunJob(key):
                return self.run_job(key)
            case acts.AwaitReady(key):
                return self.await_ready(key, within_s)
            case acts.DeleteObject(key):
                self.api().delete(observe.stray(key))
                return ""
            case acts.IssueCertificate():
                assert self.project.tls
                return provision.issue(self.api(), self.where, self.project.tls, self.project.name, self.delete_whole)
            case acts.DefineKinds(image):
                return request.define(self.api(), self.want.images[image].ref)
            case acts.RequestCertificate(issuer, certificate, anew):
                return self.request(issuer, certificate, anew)
            case acts.AwaitCertificate(certificate):
                return self.await_certificate(certificate, within_s)
            case acts.StartForwards():
                return self.start_forwards()
            case acts.AwaitForwards():
                return self.await_forwards(within_s)
            case _:
                raise TypeError(f"no way to do {act}")

    def write_env_file(self) -> str:
        path = self.want.settings.path(self.project.env_file)
        state.write(path, self.want.env_text or "")
        return f"{path.name} (0600), with passwords made for this machine"

    def create_cluster(self) -> str:
        kind.create(self.project.name, self.want.images["node"].ref, self.project.namespace, self.where)
        self.await_api()
        return ""

    def start_cluster(self) -> str:
        """Start the node again. Until the kubelet has looked, the API tells of pods as they were before the stop."""
        kind.start(self.project.name)
        kind.write_kubeconfig(self.project.name, self.project.namespace, self.where)

        def started() -> Readiness:
            lacks = observe.starting(self.want, self.where)
            return Readiness(Level.PENDING if lacks else Level.READY, "the cluster", lacks)

        self.settled(settle(started, API_WITHIN_S, process.called_off()), API_WITHIN_S)
        return ""

    def await_api(self) -> None:
        def answers() -> Readiness:
            with suppress(DevenvError):
                if self.api().answers():
                    return Readiness(Level.READY, "the API server")
            return Readiness(Level.PENDING, "the API server", "does not answer")

        self.settled(settle(answers, API_WITHIN_S, process.called_off()), API_WITHIN_S)

    def apply(self, keys: Iterable[str]) -> str:
        api = self.api()
        for key in keys:
            api.apply(self.want.object(key))
            if key.startswith("namespace/"):
                self.await_service_account(api, key.partition("/")[2])
        return ""

    def await_service_account(self, api: Api, namespace: str) -> None:
        """A pod made before its namespace's account is there fails and backs off: that costs more than this wait."""
        meta = {"name": "default", "namespace": namespace}
        account: manifest.Document = {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": meta}
        self.settled(settle(lambda: observe.look(api, account), API_WITHIN_S, process.called_off()), API_WITHIN_S)

    def run_job(self, key: str) -> str:
        rollout.run_job(self.api(), self.want.object(key))
        return ""

    def delete_whole(self, obj: manifest.Document) -> None:
        rollout.delete_whole(self.api(), obj)

    def request(self, issuer: str, certificate: str, anew: bool) -> str:
        api = self.api()
        if anew:
            # The issuer too: an authority that has lost our account is asked for another.
            self.delete_whole(self.want.object(certificate))
            self.delete_whole(self.want.object(issuer))
        api.apply(self.want.object(issuer))
        api.apply(self.want.object(certificate))
        return ""

    def await_certificate(self, key: str, within_s: float) -> str:
        """Wait for the authority's answer; the Secret is cert-manager's alone then."""
        api, wanted = self.api(), self.want.object(key)
        self.settled(settle(lambda: request.look(api, wanted), within_s, process.called_off()), within_s)
        assert self.project.tls
        provision.hand_over(api, self.project.tls)
        return ""

    def await_ready(self, key: str, within_s: float) -> str:
        rollout.await_ready(self.api(), self.want.object(key), within_s, "devenv up")
        return ""

    def settled(self, seen: Readiness, within_s: float) -> None:
        verb = "devenv tls up" if seen.what.startswith("certificate/") else "devenv up"
        rollout.settled(seen, within_s, self.project.namespace, verb)

    def start_forwards(self, via: str = forward.AUTO) -> str:
        api = self.api()
        ports = {f.name: node_port(api, self.want.object(f.way)) for f in self.want.forwards if f.way}
        forward.start(self.where, self.want.forwards, self.want.forwards_hash, self.provider.node, ports, via)
        return ", ".join(f"{f.local_port} → {f.service}" for f in self.want.forwards)

    def await_forwards(self, within_s: float) -> str:
        self.settled(settle(lambda: forwards_open(self.where), within_s, process.called_off()), within_s)
        return ""


def node_port(api: Api, way: manifest.Document) -> int:
    service = api.get(way)
    assert service
    return int(service["spec"]["ports"][0]["nodePort"])


def forwards_open(where: Folder) -> Readiness:
    """Return whether every forward leads to a service that answers; without a living process none ever will."""
    if not forward.served_hash(where):
        return Readiness(Level.FAILED, "forwards", "no process serves them")
    closed = forward.closed(where)
    return Readiness(Level.PENDING if closed else Level.READY, "forwards", closed)
