"""What each action does to the world: the docker host, the cluster, the forwards' process, files."""

from contextlib import suppress
from dataclasses import dataclass, field, replace

from devenv.certificates import acme, secret
from devenv.cluster import kind
from devenv.errors import DevenvError
from devenv.forwarder.spec import ProcessSpec
from devenv.images import obtain
from devenv.kube import attachment, revisions
from devenv.kube.objects import Id, Object, reference
from devenv.kube.readiness import Level, Readiness
from devenv.reconcile import actions, attaching, forwards, observe
from devenv.reconcile.environment import Environment
from devenv.reconcile.rollout import GONE_WITHIN_S, Waiter
from devenv.system import state
from devenv.system.cancel import Cancel
from devenv.system.wait import poll

API_WITHIN_S, KIND_WITHIN_S = 120.0, 10.0
RESTARTED = "kubectl.kubernetes.io/restartedAt"  # of `kubectl rollout restart`, so that both are one history


@dataclass(frozen=True)
class Handlers:
    """Does the actions of one command. `seen` has the readiness of each object that was waited for."""

    env: Environment
    retry: str = "devenv up"  # the command to repeat once the cause of a failure is mended
    cancel: Cancel = field(default_factory=Cancel)
    seen: dict[Id, Readiness] = field(default_factory=dict)

    def do(self, action: actions.Action, within_s: float) -> str:
        """Perform an action and return a note for the person, or an empty string."""
        match action:
            case actions.WriteEnvFile(path, text):
                state.write(path, text)
                return f"{path.name} (0600), with passwords made for this machine"
            case actions.ObtainImage(image, images, pull, no_cache):
                log = self.env.folder.log(f"image-{image.name}")
                return obtain.obtain(images, image.name, pull, log, no_cache, self.cancel)
            case actions.CreateCluster(image):
                kind.create(self.env.project.name, image.ref, self.env.project.namespace, self.env.folder, self.cancel)
                return self.await_api()
            case actions.StartCluster(namespaces):
                return self.start_cluster(namespaces)
            case actions.LoadImage(image, target, names):
                return self.env.provider.deliver(image.ref, target, names, self.cancel)
            case actions.ApplyObjects(objects):
                return self.apply(objects)
            case actions.RunJob(obj) | actions.ReplaceObject(obj):
                self.waiter.replace(obj)
            case actions.Restart(obj, at):
                self.restart(obj, at)
            case actions.MergeObject(obj, body):
                self.env.api.merge(f"change {obj.id}", obj, body)
            case actions.SetTemplate(obj, template):
                self.env.api.patch(f"roll back {obj.id}", obj, revisions.patch(template))
            case actions.Detach(obj):
                self.env.api.merge(f"detach {obj.id}", obj, attachment.giving_back(obj), attachment.FIELD_MANAGER)
                attaching.remove_files(self.env.folder)
            case actions.AwaitReady(obj):
                self.seen[obj.id] = self.waiter.await_ready(obj, within_s)
            case actions.AwaitEnd(obj):
                self.waiter.await_end(obj, within_s)
            case actions.AwaitComplete(obj):
                self.require(poll(lambda: observe.counted(self.env.api, obj), within_s, self.cancel), within_s)
            case actions.ReplacePods(pods):
                for pod in pods:
                    self.waiter.delete(pod)
            case actions.DeleteObject(obj):
                self.env.api.delete(obj)
            case actions.IssueCertificate(tls):
                return secret.issue(self.env.api, self.env.folder, tls, self.env.project.name, self.waiter.delete)
            case actions.DefineKinds(image):
                return acme.define(self.env.api, image.ref)
            case actions.RequestCertificate(issuer, certificate, recreate):
                self.request(issuer, certificate, recreate)
            case actions.AwaitCertificate(certificate, tls):
                self.require(poll(lambda: acme.look(self.env.api, certificate), within_s, self.cancel), within_s)
                # The Secret is cert-manager's alone now.
                secret.hand_over(self.env.api, tls)
            case actions.StartForwards(forwards_, hash_, node_ports, via):
                ports = {name: self.node_port(service) for name, service in node_ports.items()}
                led = tuple(replace(f, node_port=ports.get(f.name, 0)) for f in forwards_)
                forwards.start(self.env.folder, ProcessSpec(hash_, self.env.provider.node, via, led))
                return ", ".join(f"{f.local_port} → {f.service}" for f in led)
            case actions.AwaitForwards():
                self.require(poll(lambda: observe.forwards_open(self.env), within_s, self.cancel), within_s)
            case _:
                raise TypeError(f"no handler for {action}")
        return ""

    @property
    def waiter(self) -> Waiter:
        return Waiter(self.env, self.cancel, self.retry)

    def require(self, seen: Readiness, within_s: float) -> None:
        self.waiter.require(seen, within_s)

    def await_api(self) -> str:
        self.env.forget_api()

        def answers() -> Readiness:
            with suppress(DevenvError):
                if self.env.api.answers():
                    return Readiness(Level.READY, "the API server")
            return Readiness(Level.PENDING, "the API server", "does not answer")

        self.require(poll(answers, API_WITHIN_S, self.cancel), API_WITHIN_S)
        return ""

    def start_cluster(self, namespaces: tuple[str, ...]) -> str:
        """Start the node again. Until the kubelet has looked, the API tells of pods as they were before the stop."""
        kind.start(self.env.project.name)
        kind.write_kubeconfig(self.env.project.name, self.env.project.namespace, self.env.folder)
        self.env.forget_api()

        def started() -> Readiness:
            lacks = observe.starting(self.env, namespaces)
            return Readiness(Level.PENDING if lacks else Level.READY, "the cluster", lacks)

        self.require(poll(started, API_WITHIN_S, self.cancel), API_WITHIN_S)
        return ""

    def apply(self, objects: tuple[Object, ...]) -> str:
        for obj in objects:
            self.await_kind(obj)
            if self.env.api.apply(obj).leaves:  # what is applied to it would go with it
                self.waiter.await_gone([obj], GONE_WITHIN_S)
                self.env.api.apply(obj)
            if obj.kind == "Namespace":
                self.await_service_account(obj.id.name)
        return ""

    def restart(self, obj: Object, at: str) -> None:
        if (living := self.env.api.get(obj)) is None:
            raise DevenvError(f"{obj.id} is not in the cluster\nhint: devenv up")
        body = {"spec": {"template": {"metadata": {"annotations": {RESTARTED: at}}}}}
        self.env.api.merge(f"restart {obj.id}", living, body)

    def await_kind(self, obj: Object) -> None:
        """A kind whose definition was just applied is served a moment later."""

        def served() -> Readiness:
            level = Level.READY if self.env.api.serves(obj) else Level.PENDING
            return Readiness(level, str(obj.id), "this cluster has no such kind")

        self.require(poll(served, KIND_WITHIN_S, self.cancel), KIND_WITHIN_S)

    def await_service_account(self, namespace: str) -> None:
        """A pod made before its namespace's account is there fails and backs off: that costs more than this wait."""
        account = reference("v1", "ServiceAccount", "default", namespace)
        self.require(poll(lambda: observe.look(self.env.api, account), API_WITHIN_S, self.cancel), API_WITHIN_S)

    def request(self, issuer: Object, certificate: Object, recreate: bool) -> None:
        if recreate:
            # The issuer too: an authority that has lost our account is asked for another.
            self.waiter.delete(certificate)
            self.waiter.delete(issuer)
        self.env.api.apply(issuer)
        self.env.api.apply(certificate)

    def node_port(self, service: Object) -> int:
        found = self.env.api.get(service)
        assert found
        return int(found.raw["spec"]["ports"][0]["nodePort"])
