"""What is secret of objects, whoever has them, and that no form of it is printed."""

import json
import subprocess
import sys
from base64 import b64encode
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from devenv.cli import output
from devenv.kube import secrecy
from devenv.kube.api import Api
from devenv.kube.objects import Object, reference
from devenv.project.manifests import parsed
from devenv.reconcile.changes import compared, difference
from devenv.system import masking
from tests.test_discovery import CORE, serving
from tests.test_kinds import aggregated

MARK, OLD = "hunter2-mark", "hunter2-before"
BASE64 = b64encode(MARK.encode()).decode()
CONTAINER = {"name": "c", "env": [{"name": "DB_PASSWORD", "value": MARK}, {"name": "MODE", "value": "plain-mode-1"}]}
POD = {"containers": [CONTAINER]}
TEMPLATE = {"template": {"spec": POD}}


def document(kind: str, group: str = "v1", **content: Any) -> dict[str, Any]:
    return {"apiVersion": group, "kind": kind, "metadata": {"name": "x"}, **content}


def secret_of(raw: dict[str, Any]) -> set[str]:
    return secrecy.of_object(Object.parse(raw, "shop"))


@pytest.mark.parametrize(
    "raw",
    [
        document("Secret", stringData={"A": MARK}),
        document("Secret", data={"A": BASE64}),
        document("Secret", data={"A": b64encode(f"{MARK}\n".encode()).decode()}),
        document("Secret", data={"A": MARK}),  # no base64: refused later, and not shown then
        document("Secret", stringData={"URL": f"http://me:{MARK}@db:1/x"}),
        document("ConfigMap", data={"API_TOKEN": MARK, "MODE": "plain-mode-1"}),
        document("ConfigMap", data={"DSN": f"http://me:{MARK}@db:1/x"}),
        document("Pod", spec=POD),
        document("Pod", spec={"containers": [], "initContainers": [CONTAINER]}),
        document("Deployment", "apps/v1", spec=TEMPLATE),
        document("CronJob", "batch/v1", spec={"jobTemplate": {"spec": TEMPLATE}}),
        document("Database", "x.example/v1", spec={"pods": [TEMPLATE]}),
    ],
)
def test_what_an_object_has_of_secrets_is_found_and_nothing_else(raw: dict[str, Any]) -> None:
    assert {text.strip() for text in secret_of(raw)} == {MARK}


@pytest.mark.parametrize("raw", [{}, {"data": None}, {"data": [1]}, {"data": {"A": 1}}, {"stringData": "x"}])
def test_a_secret_of_another_shape_has_none(raw: dict[str, Any]) -> None:
    assert secret_of(document("Secret", **raw)) == set()


@pytest.mark.parametrize(
    ("key", "value"),
    [
        *((key, "prod-eu-1.example") for key in ("USER", "db.user", "POSTGRES_DB", "HOST", "REDIS_URL", "ca.crt")),
        ("A", "postgres"),
        ("A", "100000"),
        ("A", "true"),
        ("A", ""),
    ],
)
def test_who_and_where_in_a_secret_and_words_are_shown(key: str, value: str) -> None:
    assert secret_of(document("Secret", stringData={key: value})) == set()


@given(st.text(min_size=6).filter(lambda text: len(text.strip()) >= masking.SHORTEST))
def test_no_form_of_a_secret_is_left_in_what_is_told(secret: str) -> None:
    masking.forget()
    masking.hide([secret])
    text = secret.strip()
    encoded = [b64encode(form.encode()).decode() for form in (text, f"{text}\n", secret)]
    for form in (text, quote(text, safe=""), json.dumps(text)[1:-1], *encoded):
        assert masking.masked(f"<{form}>") == "<***>"


def test_what_is_too_short_is_a_part_of_words() -> None:
    masking.hide(["t", "token"])
    assert masking.masked("the token") == "the token"


def test_a_word_is_hidden_and_not_the_words_that_it_is_a_part_of() -> None:
    masking.hide(["secret"])
    assert masking.masked("secretKeyRef: [secrets.web] Insecretive") == "secretKeyRef: [secrets.web] Insecretive"
    assert masking.masked("u:secret@h PASSWORD=secret 1secret2_secret") == "u:***@h PASSWORD=*** 1***2_***"


def test_a_line_of_a_long_text_is_hidden_and_its_marker_is_not() -> None:
    masking.hide(["-----BEGIN CERTIFICATE-----\nMIIEvQIBADANBgkqhkiG\nshort\n-----END CERTIFICATE-----\n"])
    assert masking.masked("-----BEGIN CERTIFICATE----- MIIEvQIBADANBgkqhkiG short") == (
        "-----BEGIN CERTIFICATE----- *** short"
    )


def test_a_secret_of_before_stays_hidden_and_the_longest_goes_first() -> None:
    masking.hide(["abc-123"])
    masking.hide(["abc-123-456"])
    assert masking.masked("abc-123 abc-123-456") == "*** ***"


def test_what_manifests_hold_of_secrets_is_hidden_in_whatever_is_printed(capsys: pytest.CaptureFixture[str]) -> None:
    parsed({"a.yaml": json.dumps(document("Deployment", "apps/v1", spec=TEMPLATE))}, "shop")
    output.error(f"deployment/x: crash loop; its log: connecting as me with {MARK}")
    output.as_json({"why": f"env DB_PASSWORD={MARK}"})
    said = capsys.readouterr()
    assert "crash loop" in said.err
    assert MARK not in said.err + said.out


def test_what_the_cluster_has_is_hidden_in_the_log_of_its_pod_and_in_a_difference_to_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    living = document("Pod", spec={"containers": [{"name": "c", "env": [{"name": "TOKEN", "value": OLD}]}]})
    pod = "/api/v1/namespaces/shop/pods/x"
    answers = {"/api": CORE, "/apis": aggregated(), pod: living, f"{pod}/log": {"said": OLD}}
    with serving(tmp_path, answers) as folder:
        api = Api(folder, "shop")
        output.error(api.log(reference("v1", "Pod", "x", "shop").id))
        before = api.get(reference("v1", "Pod", "x", "shop"))
    (after,) = parsed({"a.yaml": json.dumps(document("Pod", spec=POD))}, "shop")
    output.text(difference(compared(after, before, after)))
    said = capsys.readouterr()
    assert "said" in said.err
    assert "DB_PASSWORD" in said.out
    assert not [mark for mark in (MARK, OLD) if mark in said.err + said.out]


def test_the_traceback_of_a_bug_has_no_secret_in_it() -> None:
    code = (
        "from devenv.cli import app\nfrom devenv.system import masking\n"
        f"masking.hide(['{MARK}'.upper().lower()])\n"
        "def bug(): raise KeyError('hunter2' + '-mark')\napp.app = bug\napp.main()"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 1
    assert done.stderr.splitlines()[0] == "Traceback (most recent call last):"
    assert "KeyError: '***'" in done.stderr
    assert MARK not in done.stderr
