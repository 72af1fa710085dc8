"""Staging on a cluster that devenv did not make: promoted, refused, broken, undone."""

import json
import re
import signal
import subprocess
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from somabrain.schema import Revisions

from tests.cluster.client import Client
from tests.cluster.environment import Environment
from tests.cluster.nodes.release import SECRETS, Release, cleared, secrets
from tests.waiting import eventually

STAGING = "somabrain-staging"
HEAD = Revisions.here().head
SLEEPS = {"main.py": "import time\ntime.sleep(3600)\n"}


def revision(name: str, does: str) -> str:
    """Return the source of a revision that follows the last one and says that the images before it work with it."""
    said = {"revision": name, "down_revision": HEAD, "lives_with": HEAD}
    lines = [f"{key} = {json.dumps(value)}" for key, value in said.items()]
    return "\n".join(["from alembic import op", *lines, "def upgrade() -> None:", f"    {does}", ""])


def sql(release: Release, statement: str) -> str:
    words = ["psql", "-U", SECRETS["POSTGRES_USER"], "-d", SECRETS["POSTGRES_DB"], "-Atc", statement]
    return release.foreign.kubectl("-n", STAGING, "exec", "postgres-0", "-c", "postgres", "--", *words).strip()


def at_revision(release: Release) -> str:
    return sql(release, "SELECT version_num FROM alembic_version")


def first_word(done: "subprocess.CompletedProcess[str]") -> str:
    """Return the first line of the error that a person sees."""
    return next(line for line in done.stderr.splitlines() if line.startswith("error:"))


@pytest.fixture(scope="module")
def promoted(release: Release) -> Iterator[Release]:
    """Staging, promoted for the first time by an administrator."""
    foreign = release.foreign
    foreign.kubectl("create", "namespace", STAGING)

    shown = release.promote("staging", "--dry-run")
    assert shown.returncode == 1
    assert "lacks secret/somabrain-postgres, secret/somabrain-secrets" in shown.stderr
    secrets(foreign, STAGING, f"postgres.{STAGING}.svc.cluster.local")

    shown = release.promote("staging", "--dry-run")
    assert shown.returncode == 0, shown.stderr
    assert "+++ deployment/somabrain (promoted)" in shown.stdout
    assert "job/somabrain-migrate: runs again" in shown.stdout
    assert foreign.kubectl("-n", STAGING, "get", "deployments,statefulsets,jobs", "-o", "name") == ""

    release.fine("staging")
    yield release
    cleared(foreign, STAGING)


@pytest.fixture
def staging(promoted: Release) -> Release:
    """Staging with the images of the release, whatever the last test brought there."""
    if promoted.api(STAGING)["image"] != promoted.images["somabrain"]:
        promoted.fine("staging")
    return promoted


def test_a_release_runs_in_staging_by_its_digests_and_answers(staging: Release) -> None:
    staging.fine("staging")  # its Jobs too, whatever the last test made of them
    assert {c["image"] for pod in staging.pods(STAGING) for c in pod["spec"]["containers"]} == set(
        staging.images.values()
    )

    def succeeded() -> dict[str, int | None]:
        jobs = json.loads(staging.foreign.kubectl("-n", STAGING, "get", "jobs", "-o", "json"))["items"]
        return {j["metadata"]["name"]: j["status"].get("succeeded") for j in jobs}

    # Their controller counts a pod a moment after it has succeeded.
    eventually(lambda: succeeded() == {"somabrain-migrate": 1, "somabrain-health-check": 1})


def test_the_same_release_again_changes_nothing(staging: Release) -> None:
    staging.fine("staging")  # its Jobs too, whatever the last test made of them
    before = staging.api(STAGING)
    changes = json.loads(staging.fine("staging", "--dry-run", "-o", "json"))
    assert {c["change"] for c in changes} == {"same", "runs"}
    done = staging.promote("staging")
    assert done.returncode == 0
    assert "staging: already running these images" in done.stderr
    assert staging.api(STAGING) == before


def test_a_new_image_is_shown_and_rolled_out(staging: Release, tmp_path: Path) -> None:
    new = staging.variant("new", "LABEL of=tests", {}, tmp_path)
    shown = staging.fine("staging", "--dry-run", somabrain=new)
    assert f"-        image: {staging.images['somabrain']}" in shown
    assert f"+        image: {new}" in shown
    assert staging.api(STAGING)["image"] == staging.images["somabrain"]
    staging.fine("staging", somabrain=new)
    assert staging.api(STAGING)["image"] == new
    staging.fine("staging")
    assert staging.api(STAGING)["image"] == staging.images["somabrain"]


def test_a_broken_image_is_told_and_undone_while_the_old_pods_go_on_serving(staging: Release, tmp_path: Path) -> None:
    broken = staging.variant(
        "broken",
        "COPY main.py /app/somabrain/__main__.py",
        {"main.py": "raise SystemExit('broken on purpose')\n"},
        tmp_path,
    )
    with Client(staging.foreign, STAGING, staging.images["somabrain"]) as client:
        done = staging.promote("staging", somabrain=broken)
    assert done.returncode == 1
    assert first_word(done).startswith("error: deployment/somabrain failed: ")
    assert "broken on purpose" in done.stderr
    assert "undone: " in done.stderr
    assert "What a migration did is not undone" in done.stderr
    assert staging.api(STAGING)["image"] == staging.images["somabrain"]
    assert json.loads(staging.fine("staging", "--dry-run", "-o", "json"))
    assert client.failures == []
    assert client.sent > 0


def test_an_interrupted_promotion_says_what_became_of_the_environment(staging: Release, tmp_path: Path) -> None:
    unready = staging.variant("unready", "COPY main.py /app/somabrain/__main__.py", SLEEPS, tmp_path)
    chosen = [f"--image={ref}" for ref in (staging.images | {"somabrain": unready}).values()]
    started = staging.env.start("promote", "staging", "--context", staging.foreign.context, *chosen)
    eventually(lambda: staging.api(STAGING)["image"] == unready, 300)
    started.send_signal(signal.SIGTERM)  # as a CI ends a job; Ctrl-C does the same
    said = started.communicate(timeout=300)[1]
    assert started.returncode == 130, said
    assert "interrupted; undone: " in said
    assert "deployment/somabrain" in said[said.index("undone: ") :]
    assert "run the command again" not in said
    assert staging.api(STAGING)["image"] == staging.images["somabrain"]


def test_a_promotion_that_was_killed_is_taken_up_by_the_next(staging: Release, tmp_path: Path) -> None:
    unready = staging.variant("killed", "COPY main.py /app/somabrain/__main__.py", SLEEPS, tmp_path)
    chosen = [f"--image={ref}" for ref in (staging.images | {"somabrain": unready}).values()]
    started = staging.env.start("promote", "staging", "--context", staging.foreign.context, *chosen)
    eventually(lambda: staging.api(STAGING)["image"] == unready, 300)
    started.kill()
    started.communicate()
    # The same once more: it is as it was applied, and yet not well.
    again = staging.promote("staging", "--timeout", "20s", somabrain=unready)
    assert again.returncode == 3, again.stderr
    assert "waiting for `devenv promote staging` on " in again.stderr
    assert "deployment/somabrain is not ready after 20 s" in again.stderr
    staging.fine("staging")
    assert staging.api(STAGING)["image"] == staging.images["somabrain"]


def test_two_promotions_from_two_machines_take_turns(staging: Release, tmp_path: Path) -> None:
    others = (replace(staging.env, extra={**staging.env.extra, "XDG_STATE_HOME": str(tmp_path / n)}) for n in "ab")
    words = ("--context", staging.foreign.context, *(f"--image={ref}" for ref in staging.images.values()))
    both = [env.start("promote", "staging", *words) for env in others]
    said = [one.communicate(timeout=600)[1] for one in both]
    assert [one.returncode for one in both] == [0, 0], said
    assert sum("waiting for `devenv promote staging` on " in text for text in said) == 1, said
    assert staging.foreign.kubectl("-n", STAGING, "get", "leases", "--output", "name") == ""


def test_what_a_release_no_longer_has_is_named_and_goes_when_it_is_asked_for(staging: Release) -> None:
    file = staging.env.root / "k8s/components/released/health-check.yaml"
    before = file.read_text()
    file.write_text(f"{before}\n---\napiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: extra\n")
    staging.fine("staging")
    file.write_text(before)
    there = ("-n", STAGING, "get", "configmap", "extra", "--ignore-not-found", "--output", "name")
    assert "configmap/extra: no longer rendered, and left; --prune removes it" in staging.fine("staging")
    assert staging.foreign.kubectl(*there) != ""
    staging.fine("staging", "--prune")
    assert staging.foreign.kubectl(*there) == ""
    assert "no longer rendered" not in staging.fine("staging", "--dry-run")


def test_an_image_that_nobody_has_is_told_and_undone(staging: Release) -> None:
    nowhere = f"{staging.foreign.registry}/somabrain@sha256:{'0' * 64}"
    done = staging.promote("staging", somabrain=nowhere)
    assert done.returncode == 1
    assert "error: job/somabrain-migrate failed: " in done.stderr
    assert re.search("ErrImagePull|ImagePullBackOff", done.stderr)  # the kubelet says one after the other
    assert staging.api(STAGING)["image"] == staging.images["somabrain"]


def test_a_migration_that_fails_changes_nothing_of_the_application(staging: Release, tmp_path: Path) -> None:
    migration = revision("broken", "op.execute('select of_nothing')")
    lines = "COPY broken.py /app/alembic/versions/9999_broken.py"
    bad = staging.variant("migration", lines, {"broken.py": migration}, tmp_path)
    before = staging.api(STAGING)
    done = staging.promote("staging", somabrain=bad)
    assert done.returncode == 1
    assert first_word(done).startswith("error: job/somabrain-migrate failed: ")
    assert "of_nothing" in done.stderr
    assert "nothing that ran was changed" in done.stderr
    assert staging.api(STAGING) == before
    staging.fine("staging")


def test_a_release_with_a_migration_fails_no_request_and_is_taken_back(staging: Release, tmp_path: Path) -> None:
    added = revision("later", "op.execute('ALTER TABLE memories ADD COLUMN later text')")
    lines = "COPY later.py /app/alembic/versions/9999_later.py"
    new = staging.variant("later", lines, {"later.py": added}, tmp_path)
    try:
        with Client(staging.foreign, STAGING, staging.images["somabrain"]) as client:
            staging.fine("staging", somabrain=new)
            assert staging.api(STAGING)["image"] == new
            assert at_revision(staging) == "later"
            staging.foreign.kubectl("-n", STAGING, "rollout", "undo", "deployment/somabrain")
            staging.foreign.kubectl("-n", STAGING, "rollout", "status", "deployment/somabrain", "--timeout=120s")
            staging.fine("staging")
        assert staging.api(STAGING)["image"] == staging.images["somabrain"]
        assert at_revision(staging) == "later"
        assert client.failures == []
        assert client.sent > 0
    finally:
        sql(staging, "ALTER TABLE memories DROP COLUMN later")
        sql(staging, f"UPDATE alembic_version SET version_num = '{HEAD}'")  # noqa: S608  of our own


def test_a_check_that_fails_brings_the_former_revision_back(staging: Release, tmp_path: Path) -> None:
    new = staging.variant("checked", "LABEL of=checks", {}, tmp_path)
    check = "k8s/components/released/health-check.yaml"
    staging.env.edit(check, "somabrain:9696/health'", "somabrain:9696/nothing'")
    # A first try may meet the pod that leaves.
    staging.env.edit(check, "backoffLimit: 3", "backoffLimit: 1")
    try:
        done = staging.promote("staging", somabrain=new)
    finally:
        staging.env.edit(check, "somabrain:9696/nothing'", "somabrain:9696/health'")
        staging.env.edit(check, "backoffLimit: 1", "backoffLimit: 3")
    assert done.returncode == 1
    assert "error: job/somabrain-health-check failed: " in done.stderr
    assert "HTTP Error 40" in done.stderr  # 401: nobody is told without a token what is not there
    assert staging.api(STAGING)["image"] == staging.images["somabrain"]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("production",), "no environment production in [tool.devenv.environments]; there are: prod, staging"),
        (("staging", "--context", "nowhere"), "your kubeconfig has no context nowhere"),
        (("staging", "--image", "r.example/somabrain:stable"), "an image is given as NAME@sha256:DIGEST"),
    ],
)
def test_what_is_not_there_is_refused_before_anything_is_changed(
    staging: Release, words: tuple[str, ...], said: str
) -> None:
    before = staging.api(STAGING)
    context = () if "--context" in words else ("--context", staging.foreign.context)
    done = staging.env.run("promote", *words, *context, *(f"--image={ref}" for ref in staging.images.values()))
    assert done.returncode == 2
    assert said in done.stderr
    assert staging.api(STAGING) == before


@pytest.fixture
def deployer(staging: Release, tmp_path: Path) -> Release:
    """Staging, for somebody who has the deployers' role and nothing else."""
    kubectl = staging.foreign.kubectl
    kubectl("-n", STAGING, "create", "serviceaccount", "deployer")
    bound = ("--role=somabrain-deployer", f"--serviceaccount={STAGING}:deployer")
    kubectl("-n", STAGING, "create", "rolebinding", "deployer", *bound)
    token = kubectl("-n", STAGING, "create", "token", "deployer").strip()
    file = tmp_path / "kubeconfig"
    file.write_text(kubectl("config", "view", "--raw", "--minify", "--flatten", "--context", staging.foreign.context))
    edit = ["kubectl", "--kubeconfig", str(file), "config"]
    subprocess.run([*edit, "set-credentials", "deployer", f"--token={token}"], check=True, capture_output=True)
    subprocess.run([*edit, "set-context", staging.foreign.context, "--user=deployer"], check=True, capture_output=True)
    env = Environment("deployer", staging.env.root, {}, extra={"KUBECONFIG": str(file)})
    return Release(env, staging.foreign, staging.images)


def test_a_deployer_promotes_images_and_nothing_of_the_administrator_s(deployer: Release, tmp_path: Path) -> None:
    new = deployer.variant("deployed", "LABEL of=deployer", {}, tmp_path)
    shown = {
        c["object"]: c["change"] for c in json.loads(deployer.fine("staging", "--dry-run", "-o", "json", somabrain=new))
    }
    assert shown["deployment/somabrain"] == "changed"
    assert shown["role/somabrain-deployer"] == "left"
    assert shown["priorityclass/somabrain"] == "unseen"
    deployer.fine("staging", somabrain=new)
    assert deployer.api(STAGING)["image"] == new

    access = "k8s/components/released/access.yaml"
    deployer.env.edit(access, 'resources: ["configmaps", "limitranges", "services"]', 'resources: ["secrets"]')
    try:
        done = deployer.promote("staging")
    finally:
        deployer.env.edit(access, 'resources: ["secrets"]', 'resources: ["configmaps", "limitranges", "services"]')
    assert done.returncode == 1
    assert "these credentials may not make all changes, and none was made" in done.stderr
    assert "role/somabrain-deployer" in done.stderr
    assert deployer.api(STAGING)["image"] == new
