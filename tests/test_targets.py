"""The containers that files are sent to, what becomes of them, and what is told of pods ahead of their image."""

from itertools import product
from pathlib import Path, PurePosixPath
from typing import Any

import pytest

from devenv.errors import UsageError
from devenv.kube import ahead, pod_state
from devenv.kube.objects import Object
from devenv.kube.readiness import Level
from devenv.project import settings
from devenv.project.schema import Image, Sync, Then
from devenv.reconcile import targets
from devenv.reconcile.targets import State

CODE = Sync.model_validate({"from": "src", "to": "/code/src"})
OLD, NEW, LATER = "2026-01-01T00:00:00Z", "2026-01-01T00:01:00Z", "2026-01-01T00:02:00Z"
SENT_AT = 1767225630.0  # between the first two


def pod(containers: Any = None, status: Any = None, annotations: Any = None, **spec: Any) -> Object:
    mount = [{"name": "code", "mountPath": "/code"}]
    made = {
        "containers": [{"name": "c", "image": "i:1", "volumeMounts": mount}] if containers is None else containers,
        "volumes": [{"name": "code", "emptyDir": {}}, {"name": "data", "persistentVolumeClaim": {"claimName": "d"}}],
        **spec,
    }
    told = {"phase": "Running", "conditions": [{"type": "Initialized", "status": "True"}], **(status or {})}
    meta = {"name": "p", "uid": "u", "annotations": annotations or {}}
    raw = {"apiVersion": "v1", "kind": "Pod", "metadata": meta, "spec": made, "status": told}
    return Object.parse(raw, "shop")


def test_files_go_to_the_running_containers_of_the_image_and_no_others() -> None:
    (found,) = targets.of("i:1", [CODE], [pod()])
    assert found.name_of("src/a/b.py") == "code/src/a/b.py"
    assert found.name_of("src") == "code/src"
    others = [
        pod(status={"phase": "Succeeded"}), pod(status={"conditions": []}), pod(restartPolicy="OnFailure"),
        pod([{"name": "c", "image": "i:2", "volumeMounts": [{"name": "code", "mountPath": "/code"}]}]),
    ]  # fmt: skip
    assert targets.of("i:1", [CODE], others) == []


@pytest.mark.parametrize(
    ("mounts", "place"),
    [
        ([("code", "/code", None)], "code/src"),
        ([("code", "/code/src", None)], "code"),
        ([("code", "/code", "deep/er")], "code/deep/er/src"),
        ([("code", "/code", None), ("data", "/code/src", None)], ""),  # the claim lies over it
        ([("data", "/code", None)], ""),
        ([("code", "/cod", None)], ""),
        ([], ""),
    ],
)
def test_a_place_lies_in_an_empty_dir_which_outlives_its_container(mounts: list[Any], place: str) -> None:
    written = [{"name": n, "mountPath": path, **({"subPath": sub} if sub else {})} for n, path, sub in mounts]
    spec = pod([{"name": "c", "image": "i:1", "volumeMounts": written}])
    assert targets.place_of(spec.raw["spec"], spec.raw["spec"]["containers"][0], CODE.to) == place
    assert bool([*targets.unreachable("i:1", [CODE], [spec])]) is (not place)


def test_a_place_that_only_the_kubelet_can_name_is_none() -> None:
    mount = [{"name": "code", "mountPath": "/code", "subPathExpr": "$(NODE)"}]
    spec = pod([{"name": "c", "image": "i:1", "volumeMounts": mount}]).raw["spec"]
    assert targets.place_of(spec, spec["containers"][0], CODE.to) == ""


def test_only_a_container_that_started_with_the_files_says_anything_of_them() -> None:
    """Over all that the kubelet may tell: which container, since when, in what state, and how the last one ended."""
    for id_, begun, state, ready, last in product(
        ("old", "new"), (OLD, NEW), ("running", "ended", "waiting"), (True, False), (0, 1, 137)
    ):
        now = {
            "running": {"running": {"startedAt": begun}},
            "ended": {"terminated": {"containerID": f"containerd://{id_}", "startedAt": begun, "exitCode": 1}},
            "waiting": {"waiting": {"reason": "CrashLoopBackOff"}},
        }[state]
        ended = {"terminated": {"containerID": "containerd://old", "startedAt": OLD, "exitCode": last}}
        container = {
            "name": "c",
            "containerID": f"containerd://{id_}",
            "ready": ready,
            "state": now,
            "lastState": ended,
        }
        seen = targets.outcome(pod(status={"containerStatuses": [container]}), "c", frozenset({"old"}), SENT_AT).state
        has_them = id_ == "new" or begun == NEW
        if state == "running" and ready and has_them:
            assert seen is State.READY
        elif state == "ended" and has_them:
            assert seen is State.CRASHED
        else:
            assert seen is State.WAITS


def test_code_that_crashed_is_told_while_its_container_waits_or_runs_again() -> None:
    ended = {"terminated": {"containerID": "containerd://new", "startedAt": NEW, "exitCode": 3}}
    for state in ({"waiting": {"reason": "CrashLoopBackOff"}}, {"running": {"startedAt": LATER}}):
        container = {
            "name": "c",
            "containerID": "containerd://newer",
            "ready": False,
            "state": state,
            "lastState": ended,
        }
        seen = targets.outcome(pod(status={"containerStatuses": [container]}), "c", frozenset({"old"}), SENT_AT)
        assert (seen.state, seen.why) == (State.CRASHED, "exit code 3")
    assert targets.outcome(None, "c", frozenset(), SENT_AT).state is State.CRASHED


def crashing(restarts: int, ours: int, after_s: int, waits: bool) -> Object:
    ended = {"exitCode": 1, "startedAt": f"2026-01-01T00:{after_s // 60:02}:{after_s % 60:02}Z"}
    ended["finishedAt"] = ended["startedAt"]
    state = {"waiting": {"reason": "CrashLoopBackOff"}} if waits else {"terminated": ended}
    container = {
        "name": "c",
        "restartCount": restarts,
        "state": state,
        "lastState": {"terminated": ended} if waits else {},
    }
    begun = [{"type": "Initialized", "status": "True", "lastTransitionTime": OLD}]
    notes = {ahead.ANNOTATION: ahead.Ahead(1, {"c": ours}).text()} if ours else {}
    return pod(status={"conditions": begun, "containerStatuses": [container]}, annotations=notes)


def test_a_crash_loop_is_three_restarts_that_were_not_ours_over_half_a_minute() -> None:
    """A node of ours restarts a container each second: three crashes alone are no more than a slow database."""
    for restarts, ours, after_s, waits in product(range(7), range(4), (5, 29, 30, 600), (True, False)):
        seen = pod_state.pod("deployment/x", crashing(restarts, ours, after_s, waits))
        assert (seen.level is Level.FAILED) is (restarts - ours >= 3 and after_s >= 30), (
            restarts,
            ours,
            after_s,
            waits,
        )


def test_what_a_pod_says_of_its_files_is_read_and_anything_else_is_nothing() -> None:
    written = ahead.Ahead(2, {"c": 4})
    assert ahead.of(pod(annotations={ahead.ANNOTATION: written.text()})) == written
    for text in ("", "x", "[]", "{}", '{"files": "a", "restarts": {}}', '{"files": 1, "restarts": 3}', "null"):
        assert ahead.of(pod(annotations={ahead.ANNOTATION: text})) == ahead.Ahead()
    assert ahead.said([pod()]) == ""
    assert ahead.said([pod(), pod(annotations={ahead.ANNOTATION: written.text()})]) == "2 files ahead of its image"
    assert ahead.said([pod(annotations={ahead.ANNOTATION: ahead.Ahead(1).text()})]) == "1 file ahead of its image"


TOLD = Image(build=Path("x"), loaded="serves", refused="does not")


@pytest.mark.parametrize(
    ("lines", "seen"),
    [
        ((), State.WAITS),
        ((f"{OLD} it serves", f"{OLD} it does not"), State.WAITS),  # of what it was sent before
        ((f"{NEW} starting", f"{LATER} it serves"), State.READY),
        ((f"{NEW} Traceback", f"{LATER} it does not"), State.CRASHED),
        (("2026-01-01T00:00:30.123456789Z it serves", f"{LATER} it does not"), State.READY),
        (("2026-01-01T00:00:29.999999999Z it serves", "2026-01-01T00:00:30Z"), State.WAITS),
    ],
)
def test_a_log_tells_of_files_that_were_sent_before_its_line(lines: tuple[str, ...], seen: State) -> None:
    assert targets.told("\n".join(lines), TOLD, SENT_AT).state is seen


@pytest.mark.parametrize(
    ("written", "read"),
    [
        ("restart", Then()),
        ("nothing", Then(kind="nothing")),
        ("signal HUP", Then(kind="signal", words=("HUP",))),
        ("signal SIGUSR1", Then(kind="signal", words=("USR1",))),
        (["kill", "-HUP", "1"], Then(kind="command", words=("kill", "-HUP", "1"))),
    ],
)
def test_what_follows_a_sync_is_a_word_or_a_command(written: Any, read: Then) -> None:
    assert Image.model_validate({"build": "x", "then": written}).then == read


@pytest.mark.parametrize(
    ("image", "fault"),
    [
        ('sync = [{from = "../x", to = "/code"}]', "is no path within the image's folder"),
        ('sync = [{from = "src", to = "code"}]', "is no absolute path below /"),
        ('sync = [{from = "src", to = "/"}]', "is no absolute path below /"),
        ('sync = [{from = "gone", to = "/code"}]', "api/gone: no such file or folder"),
        ('sync = [{from = "src", to = "/code"}, {from = "x", to = "/code/x"}]', "/code/x is /code, or lies within it"),
        ('sync = [{from = "src", to = "/a"}, {from = "src", to = "/b"}]', "src is src, or lies within it"),
        ('sync = [{from = "src", to = "/code"}]\npull = "a/b:1"', "needs `build`, and no `pull`"),
        ('then = "reload"', 'none of "restart", "nothing", "signal NAME"'),
        ("then = []", 'none of "restart", "nothing", "signal NAME"'),
        ('sync = [{from = "src", into = "/code"}]', "unknown key"),
        ('sync = [{from = "src", to = "/code"}]\nloaded = "up"', "needs `sync`, and a `then` that does not restart"),
        ('then = "signal HUP"\nloaded = "up"', "needs `sync`, and a `then` that does not restart"),
        ('sync = [{from = "src", to = "/code"}]\nthen = "nothing"\nrefused = "no"', "needs `loaded` too, what"),
    ],
)
def test_a_fault_of_the_table_is_told_with_its_line(tmp_path: Any, image: str, fault: str) -> None:
    (tmp_path / "api/src").mkdir(parents=True)
    (tmp_path / "api/x").mkdir()
    (tmp_path / "api/Dockerfile").write_text("FROM base\n")
    file = tmp_path / "pyproject.toml"
    file.write_text(f'[tool.devenv]\nname = "n"\nmanifests = "."\n[tool.devenv.images.api]\nbuild = "api"\n{image}\n')
    with pytest.raises(UsageError, match=r"line [4-8]: images\.api") as told:
        settings.load(file, {}, {})
    assert fault in str(told.value)


def test_a_place_is_named_by_the_folder_that_it_belongs_to() -> None:
    syncs = [CODE, Sync.model_validate({"from": "conf/app.ini", "to": "/code/etc/app.ini"})]
    (found,) = targets.of("i:1", syncs, [pod()])
    assert found.name_of("conf/app.ini") == "code/etc/app.ini"
    assert found.places == {PurePosixPath("src"): "code/src", PurePosixPath("conf/app.ini"): "code/etc/app.ini"}
