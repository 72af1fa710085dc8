"""What runs at GitHub and in the audits, compared with what it has to cover."""

import os
import re
import subprocess
from pathlib import Path

import yaml

ROOT = Path(__file__).parents[1]
WORKFLOWS = sorted((ROOT / ".github/workflows").glob("*.yml"))
AUDIT = (ROOT / "scripts/audit.sh").read_text()


# What a job may change beyond reading; none in any other.
WRITES = {
    "images": {"packages", "id-token", "attestations"},
    "staging": {"id-token"},
    "production": {"id-token"},
    "release": {"contents"},
}


def tracked(pattern: str) -> set[str]:
    argv = ["git", "ls-files", "--", pattern]
    return set(subprocess.run(argv, cwd=ROOT, check=True, capture_output=True, text=True).stdout.split())


def table(name: str) -> str:
    """Return what stands in the parentheses of a script's array."""
    found = re.search(rf"^{name}=\((.*?)\)$", AUDIT, re.MULTILINE | re.DOTALL)
    assert found
    return found[1]


def test_a_runner_that_is_not_root_has_all_that_the_tests_call_before_they_begin() -> None:
    needed = re.search(r"^needed=\(([^)]*)\)$", (ROOT / "scripts/test.sh").read_text(), re.MULTILINE)
    assert needed
    packages = {pair.partition(":")[2] for pair in needed[1].split()}
    assert len(packages) >= 6
    steps = yaml.safe_load((ROOT / ".github/workflows/ci.yml").read_text())["jobs"]["test"]["steps"]
    scripts = [step.get("run", "") for step in steps]
    (install,) = (n for n, script in enumerate(scripts) if "sudo apt-get install" in script)
    (tests,) = (n for n, script in enumerate(scripts) if "scripts/test.sh" in script)
    assert install < tests
    assert packages <= set(scripts[install].split())


def test_an_action_is_the_commit_that_was_looked_at() -> None:
    for file in WORKFLOWS:
        for line in file.read_text().splitlines():
            if "uses:" in line:
                assert re.search(r"uses: [-\w]+/[-\w]+@[0-9a-f]{40} # v\d+\.\d+\.\d+$", line), f"{file.name}: {line}"


def test_no_job_has_more_rights_than_it_names() -> None:
    for file in WORKFLOWS:
        workflow = yaml.safe_load(file.read_text())
        assert workflow["permissions"] == {}
        for name, job in workflow["jobs"].items():
            writes = {right for right, grant in job["permissions"].items() if grant == "write"}
            allowed = {
                "images": {"packages", "id-token", "attestations"},
                "staging": {"id-token"},
                "production": {"id-token"},
            }
            assert writes <= allowed.get(name, {"contents"} if name == "release" else set()), name


def test_every_image_that_was_pushed_is_attested_by_its_digest(tmp_path: Path) -> None:
    steps = yaml.safe_load((ROOT / ".github/workflows/release.yml").read_text())["jobs"]["images"]["steps"]
    (attest,) = (n for n, step in enumerate(steps) if "attest-build-provenance" in step.get("uses", ""))
    file, naming = steps[attest]["with"]["subject-checksums"], steps[attest - 1]
    assert naming["env"] == {"REFERENCES": "${{ steps.push.outputs.references }}"}
    references = [f"ghcr.io/o/r/{name}@sha256:{name.encode().hex():0>64}" for name in ("somabrain", "postgres")]
    variables = {**os.environ, "REFERENCES": " ".join(references)}
    subprocess.run(["bash", "-euo", "pipefail", "-c", naming["run"]], cwd=tmp_path, env=variables, check=True)
    lines = [line.split("  ") for line in (tmp_path / file).read_text().splitlines()]
    assert [f"{name}@sha256:{digest}" for digest, name in lines] == references


def test_every_lock_and_every_go_module_that_is_shipped_is_audited() -> None:
    # The audits' own programs and what only tests build are not shipped.
    shipped = {lock for lock in tracked("*.lock") if lock != "scripts/audit.lock"}
    assert set(table("locks").split()) == shipped
    folders = {line.strip().strip('"').split()[0] for line in table("go_programs").strip().splitlines()}
    assert {f"{folder}/go.mod" for folder in folders} == {m for m in tracked("*go.mod") if not m.startswith("tests/")}


def test_what_could_not_be_audited_is_no_part_of_clean() -> None:
    """Where neither PyPI's data nor that of the Go project can be had."""
    nowhere = {"https_proxy": "http://127.0.0.1:1", "HTTPS_PROXY": "http://127.0.0.1:1", "no_proxy": "", "NO_PROXY": ""}
    variables = {**os.environ, **nowhere, "GO_VULNERABILITIES": "http://127.0.0.1:1"}

    def said(*parts: str) -> str:
        argv = ["bash", "-c", f"source scripts/audit.sh; {'; '.join([*parts, 'verdict'])}"]
        return subprocess.run(argv, cwd=ROOT, env=variables, check=True, capture_output=True, text=True).stdout

    assert said() == "audit: clean\n"
    first, *unaudited = said("python_packages", "go_modules").splitlines()
    assert "NOT audited" in first
    folders = [line.strip().strip('"').split()[0] for line in table("go_programs").strip().splitlines()]
    wanted = [f"{lock} (pypi.org)" for lock in table("locks").split()] + [f"{f}/go.mod (127.0.0.1:1)" for f in folders]
    assert [line.strip() for line in unaudited] == wanted
