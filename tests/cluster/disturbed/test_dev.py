"""The loop of `devenv dev` on the real stack: a changed line answers, a broken one is told, a deleted file is gone."""

import json
from pathlib import Path

import psutil

from tests.cluster.environment import SHORT_S, Environment
from tests.cluster.following import CHANGED_S, HEALTH, LINE, SOURCE, following, in_pod, life, workload
from tests.cluster.service import NAMESPACE, answers, only, pods
from tests.waiting import eventually


def test_a_changed_line_answers_and_the_end_leaves_all_up(stack: Environment) -> None:
    with following(stack) as told:
        uid = pods(stack)[0]["metadata"]["uid"]
        for number in range(4):  # more often than restarts make a crash loop
            start = len(told.lines)
            old = LINE if not number else f'    return JSONResponse({{"ok": True, "line": {number - 1}}})\n'
            stack.edit(HEALTH, old, f'    return JSONResponse({{"ok": True, "line": {number}}})\n')
            assert "1 container, answers after" in told.after(start, HEALTH)
            assert life(stack) == {"ok": True, "line": number}
        status = workload(stack)
        assert status == {"name": "deployment/somabrain", "state": "READY", "why": "1 file ahead of its image"}
    assert told.child.returncode == 0, "".join(told.lines)
    told.after(0, "stays up, 1 file ahead of its images")
    assert pods(stack)[0]["metadata"]["uid"] == uid
    assert life(stack) == {"ok": True, "line": 3}
    assert answers(stack)
    # What was put in place ends with the next build: `up` has it in the image.
    assert "apply deployment/somabrain: its source changed" in stack.plan()  # a run before may have built the image
    stack.fine("up")
    assert life(stack) == {"ok": True, "line": 3}
    assert pods(stack)[0]["metadata"]["uid"] != uid
    assert stack.plan() == ""


def test_a_container_that_does_not_reload_is_restarted_in_its_pod(stack: Environment) -> None:
    stack.edit("pyproject.toml", 'then = "signal HUP" # somabrain/reloading.py\n', 'then = "restart"\n')
    stack.edit("pyproject.toml", 'loaded = "serving the code of"\nrefused = "new code does not serve"\n', "")
    with following(stack) as told:
        before = only(stack)
        start = len(told.lines)
        stack.edit(HEALTH, LINE, '    return JSONResponse({"ok": True, "line": 5})\n')
        assert "1 container, answers after" in told.after(start, HEALTH)
        assert life(stack) == {"ok": True, "line": 5}
        pod = only(stack)
        counts = [p["status"]["containerStatuses"][0]["restartCount"] for p in (before, pod)]
        assert pod["metadata"]["uid"] == before["metadata"]["uid"]
        assert counts[1] == counts[0] + 1


def test_what_does_not_compile_is_not_sent_and_what_crashes_is_mended_by_the_next_save(stack: Environment) -> None:
    with following(stack) as told:
        start = len(told.lines)
        stack.edit(HEALTH, LINE, "    return {\n")
        assert "line " in told.after(start, "health.py: line")
        assert life(stack) == {"ok": True}
        start = len(told.lines)
        stack.edit(HEALTH, "    return {\n", LINE)
        stack.edit(f"{SOURCE}/__main__.py", "def main() -> int:\n", "def main() -> int:\n    return 7\n")
        told.after(start, "exit code 7")
        start = len(told.lines)
        stack.edit(f"{SOURCE}/__main__.py", "    return 7\n", "")
        told.after(start, "answers after")
        assert answers(stack)
        assert workload(stack)["why"] == ""


def test_files_come_and_go_and_a_new_pod_gets_them_too(stack: Environment) -> None:
    with following(stack) as told:
        start = len(told.lines)
        (stack.root / SOURCE / "shelf").mkdir()
        (stack.root / SOURCE / "shelf/__init__.py").write_text("BOOKS = 3\n")
        (stack.root / SOURCE / ".shelf.py.swp").write_text("x")
        told.after(start, "answers after")
        assert in_pod(stack, "python3", "-c", "from somabrain.shelf import BOOKS; print(BOOKS)") == "3\n"
        assert ".swp" not in in_pod(stack, "ls", "-a", "/code/somabrain")
        start = len(told.lines)
        stack.kubectl("-n", NAMESPACE, "delete", "pod", "-l", "app=somabrain", "--grace-period=1")
        told.after(start, "answers again")
        assert in_pod(stack, "cat", "/code/somabrain/shelf/__init__.py") == "BOOKS = 3\n"
        start = len(told.lines)
        (stack.root / SOURCE / "shelf/__init__.py").unlink()
        (stack.root / SOURCE / "shelf").rmdir()
        told.after(start, "answers after")
        assert "shelf" not in in_pod(stack, "ls", "-a", "/code/somabrain")


def test_pods_that_are_ahead_of_their_image_are_replaced_by_up(stack: Environment) -> None:
    """Without them it would find nothing to do, and the stack would go on with code that is nowhere."""
    with following(stack) as told:
        start = len(told.lines)
        stack.edit(HEALTH, LINE, '    return JSONResponse({"ok": True, "line": 9})\n')
        told.after(start, "answers after")
    stack.edit(HEALTH, '    return JSONResponse({"ok": True, "line": 9})\n', LINE)
    assert "pods of deployment/somabrain: 1 file ahead of its image" in stack.plan()
    stack.fine("up")
    assert life(stack) == {"ok": True}
    assert stack.plan() == ""


def migration(env: Environment) -> str:
    """Return the UID of the migration's Job: another one has run again."""
    job = json.loads(env.kubectl("-n", NAMESPACE, "get", "job", "somabrain-migrate", "-o", "json"))
    assert {c["type"]: c["status"] for c in job["status"]["conditions"]}["Complete"] == "True"
    return str(job["metadata"]["uid"])


def test_the_migration_runs_again_only_when_what_decides_about_it_has_changed(stack: Environment) -> None:
    ran = migration(stack)
    stack.edit(HEALTH, LINE, '    return JSONResponse({"ok": True, "line": 5})\n')
    planned = stack.plan()
    assert "apply deployment/somabrain: its source changed" in planned
    assert "job/somabrain-migrate" not in planned
    stack.fine("up")
    assert life(stack) == {"ok": True, "line": 5}
    assert stack.plan() == ""
    assert migration(stack) == ran
    ini = stack.root / "k8s/images/somabrain/alembic.ini"
    ini.write_text(f"{ini.read_text()}# Of a release that is to come.\n")
    assert "run job/somabrain-migrate: its inputs changed" in stack.plan()
    stack.fine("up")
    assert migration(stack) != ran
    assert stack.plan() == ""
    # One that somebody has removed has run for nobody.
    stack.kubectl("-n", NAMESPACE, "delete", "job", "somabrain-migrate")
    assert "run job/somabrain-migrate: is not in the cluster" in stack.plan()
    stack.fine("up")
    assert stack.plan() == ""


def test_a_file_that_decides_about_the_migration_is_built_and_not_sent(stack: Environment) -> None:
    ran = migration(stack)
    with following(stack) as told:
        start = len(told.lines)
        stack.edit(f"{SOURCE}/schema.py", "VERSIONS = Path", "# Which are to come.\nVERSIONS = Path")
        assert "build, answers after" in told.after(start, "schema.py: build", SHORT_S)
    assert migration(stack) != ran
    assert workload(stack)["why"] == ""


LOOP = """echo $$ >pid
curl --fail --silent "$SOMA_API_URL/healthz" >>seen && echo >>seen
while [ -e hold ]; do sleep 0.1; done
! [ -e broken ] || { echo "it is broken" >&2; exit 3; }
"""


LOOP_TABLE = """[tool.devenv.tests.loop]
run = ["sh", "loop.sh"]

[tool.devenv.tests.service]"""


def another(root: Path, comment: str) -> int:
    """Change the suite's own file, and return the process that it runs in then."""
    before = (root / "pid").read_text()
    (root / "loop.sh").write_text(f"{LOOP}{comment}\n")
    eventually(lambda: (root / "pid").read_text() not in (before, ""), CHANGED_S, "it runs again")
    return int((root / "pid").read_text())


def test_a_suite_runs_after_each_change_that_settled(stack: Environment) -> None:
    root = stack.root
    stack.edit("pyproject.toml", "[tool.devenv.tests.service]", LOOP_TABLE)
    (root / "loop.sh").write_text(LOOP)
    with following(stack, "--test", "loop") as told:
        told.after(0, "loop: passed after")
        start = len(told.lines)
        stack.edit(HEALTH, LINE, '    return JSONResponse({"ok": True, "line": 1})\n')
        told.after(start, "loop: passed after")
        last = (root / "seen").read_text().splitlines()[-1]
        assert json.loads(last) == {"ok": True, "line": 1}, "it has seen the new code"
        # What does not settle is not tested.
        start, runs = len(told.lines), (root / "seen").read_text()
        stack.edit(HEALTH, '    return JSONResponse({"ok": True, "line": 1})\n', "    return {\n")
        told.after(start, "health.py: line")
        stack.edit(HEALTH, "    return {\n", LINE)
        told.after(start, "loop: passed after")
        assert len((root / "seen").read_text().splitlines()) == len(runs.splitlines()) + 1
        # A change of the suite's own file runs it again, and ends the run that there is.
        (root / "hold").touch()
        start, held = len(told.lines), another(root, "# held")
        (root / "broken").touch()
        assert another(root, "# broken") != held
        assert not psutil.pid_exists(held)
        (root / "hold").unlink()
        assert "exit code 3" in told.after(start, "loop: ")
        told.after(start, "it is broken")
        (root / "hold").touch()
        held = another(root, "# held again")
    assert told.child.returncode == 0, "".join(told.lines)
    assert not psutil.pid_exists(held)
