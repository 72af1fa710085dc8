"""Secrets planted wherever one may stand in inputs that are otherwise anything: nothing that is said shows them."""

import json
from base64 import b64encode
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, redirect_stderr, redirect_stdout
from dataclasses import replace
from functools import partial
from io import StringIO
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import yaml
from hypothesis import example, given, settings
from hypothesis import strategies as st

from devenv.cli import output
from devenv.cli.options import hide_passwords
from devenv.commands.status import Status
from devenv.forwarder.spec import ForwardStatus
from devenv.kube import access, kubeconfig
from devenv.project import manifests, sources, stack
from devenv.project import settings as config
from devenv.reconcile import runs
from devenv.reconcile.execute import Event
from devenv.reconcile.observed import Observed
from devenv.reconcile.plan import make_plan
from devenv.reconcile.runs import Run
from devenv.reconcile.timeline import Mark
from devenv.system import masking
from devenv.system.state import Folder
from tests.test_any_input import KUBECONFIG, TABLE, VALUES, places, refusal, replaced, toml
from tests.test_plan import DOCUMENTS, SOURCES
from tests.test_plan import runs as workload

MARK = "hunter2@planted/7"
IN_URL, QUOTED = "other/planted@8", "other%2fplanted%408"  # under keys that do not say that they are passwords
BASE64 = b64encode(MARK.encode()).decode()
FORMS = (MARK, MARK.replace("@", "%40").replace("/", "%2F"), BASE64, IN_URL, QUOTED)
URL = f"https://me:{QUOTED}@host.example:5432/x"
SECRET_TABLE: dict[str, Any] = {
    **{key: value for key, value in TABLE.items() if key != "tls"},
    "secrets": {"s": {"PASSWORD": MARK, "DSN": URL, "FILE": "${env.PASSWORD}"}},
    "env": {"URL": "http://${forwards.api}", "API_TOKEN": MARK, "DSN": URL},
    "existing": {"manifests": "k8s", "env": {"API_KEY": MARK}},
    "tests": {"all": {"run": ["true"], "env": {"SECRET": MARK, "DSN": URL}}},
    "images": {"app": {"build": "app", "args": {"TOKEN": MARK}}, "db": {"pull": "docker.io/library/postgres:15"}},
}
POD = workload("Deployment", "web", "app")
POD["spec"]["template"]["spec"]["containers"][0]["env"] = [{"name": "DB_PASSWORD", "value": MARK}]
SECRET_DOCUMENTS: list[dict[str, Any]] = [
    {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "a"}, "data": {"PASSWORD": BASE64}},
    {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "b"}, "stringData": {"TOKEN": MARK, "DSN": URL}},
    {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "c"}, "data": {"PASSWORD": MARK}},
    POD,
]
EXEC = {"command": "sh", "args": ["-c", "echo $TOKEN >&2; exit 1"], "env": [{"name": "TOKEN", "value": MARK}]}
USERS: list[dict[str, Any]] = [
    {"token": MARK},
    {"username": "me", "password": MARK},
    {"client-certificate-data": BASE64, "client-key-data": BASE64},
    {"auth-provider": {"name": "x", "config": {"access-token": MARK}}},
    {"exec": EXEC},
]
CLUSTERS = [{"server": "http://k.example"}, {"server": URL}, {"server": "https://k.example", "proxy-url": URL}]
# What surrounds a secret, so that YAML takes it for something else: an alias, a tag, an open quote.
AROUND = st.sampled_from(
    [
        ("", ""),
        ("", ": x: ["),
        ("", "\n\t- y"),
        ("*", ""),
        ("!", ""),
        ("&a ", " *b"),
        ('"', ""),
        ("%", ""),
        ("x\x07", ""),
    ]
)
# Also of another type, at the wrong depth, and where a URL or a number should be.
MARKED = st.sampled_from([MARK, URL, [MARK], {"x": MARK}, [{"x": [URL]}]])


def at_secrets(whole: Any) -> list[tuple[Any, ...]]:
    """Return the places that have a planted secret, and those above them but for the whole."""
    return [p for p in places(whole) if p and any(form in json.dumps(inner(whole, p)) for form in FORMS)]


def inner(whole: Any, path: tuple[Any, ...]) -> Any:
    for key in path:
        whole = whole[key]
    return whole


def planted(whole: Any) -> st.SearchStrategy[Any]:
    """Return the whole, with its secrets as they are or one of another shape, and often anything in another place."""
    secret = at_secrets(whole)
    others = [p for p in places(whole) if p not in secret]
    moved = st.tuples(st.sampled_from(secret), MARKED).map(lambda at: replaced(whole, *at))
    once = st.just(whole) | moved
    return once | st.tuples(once, st.sampled_from(others[1:]), VALUES).map(lambda case: where_there(*case))


def where_there(whole: Any, path: tuple[Any, ...], new: Any) -> Any:
    """Return the whole with something else in a place, if it has that place."""
    try:
        return replaced(whole, path, new)
    except (KeyError, IndexError, TypeError):
        return whole


def assert_hidden(text: str) -> None:
    assert not [form for form in FORMS if form in text], text


@contextmanager
def said() -> Iterator[StringIO]:
    """Yield what the printer says in the block."""
    with redirect_stdout(StringIO()) as out, redirect_stderr(out):
        yield out


def tell(desired: stack.Stack, root: Path) -> None:
    """Print and keep what a command does of a plan whose programs and pods repeat a password; see that it is hidden."""
    echo = f"pod says: {' '.join(FORMS)} {URL}"
    steps = [replace(s, cause=f"{s.cause} {echo}") for s in make_plan(desired, Observed())]
    forward = ForwardStatus("api", 1, "shop", "api", "tcp", 1, "LOST", reason=echo, last_error=echo)
    status = Status(
        "shop", "shop", "RUNNING", False, [{"name": "x", "state": "FAILED", "why": echo}], [forward], [echo], ""
    )
    run, folder = Run(), Folder(root / "state")
    folder.make()
    with said() as heard:
        output.steps(steps)
        output.as_json([{"name": s.name, "cause": s.cause} for s in steps])
        output.status(status, False)
        output.status(status, True)
        output.table(output.TRAFFIC_COLUMNS, output.traffic_rows([forward]))
        with runs.kept(run, folder, "up", output.log):
            for step in steps:
                for state in ("started", "done"):
                    event = Event(step, state, note=echo)
                    output.Steps(ExitStack())(event)
                    run.mark(Mark(step.name, state, event.at, step.needs))
        output.timings(run.timeline())
        output.error(echo)
    assert "pod says" in heard.getvalue()
    assert_hidden(heard.getvalue() + "".join(f.read_text() for f in folder.path.rglob("*") if f.is_file()))


@settings(deadline=None, max_examples=40)
@given(table=planted(SECRET_TABLE))
@example(table=SECRET_TABLE)
@example(table=replaced(SECRET_TABLE, ("images",), {MARK: "x"}))
@example(table=replaced(SECRET_TABLE, ("tests", "all", "env"), {MARK: 1}))
def test_no_secret_of_a_table_is_shown_whatever_else_stands_in_it(table: Any) -> None:
    masking.forget()
    with TemporaryDirectory() as folder:
        root = Path(folder)
        for made in ("k8s", "app"):
            (root / made).mkdir()
        (root / "app/Dockerfile").write_text("FROM scratch\n")
        (root / "k8s/all.yaml").write_text(yaml.safe_dump_all(DOCUMENTS))
        (root / ".env").write_text(f"PASSWORD='{MARK}'\nDSN={URL}\n")
        file = root / "pyproject.toml"
        file.write_text(f"[tool]\ndevenv = {toml(table)}\n", encoding="utf-8", errors="surrogatepass")
        read: list[config.Settings] = []
        assert_hidden(refusal(lambda: read.append(config.load(file, {}, {}))))
        if not read:
            assert table != SECRET_TABLE
            return
        hide_passwords(read[0])
        wanted: list[stack.Stack] = []
        why = refusal(lambda: wanted.append(desired_by(read[0])))
        assert wanted or table != SECRET_TABLE, why  # the table as it stands gets as far as a plan
        with said() as heard:
            output.error(why)
        assert_hidden(heard.getvalue())
        for desired in wanted:
            tell(desired, root)


def desired_by(found: config.Settings) -> stack.Stack:
    env_file, _ = sources.environment(found)
    return stack.make(found, manifests.objects(found), SOURCES, env_file, None)


@settings(deadline=None, max_examples=40)
@given(
    st.integers(0, len(SECRET_DOCUMENTS) - 1).flatmap(lambda n: st.tuples(st.just(n), planted(SECRET_DOCUMENTS[n]))),
    AROUND,
)
@example((1, SECRET_DOCUMENTS[1]), ("*", ""))
@example((1, SECRET_DOCUMENTS[1]), ("!", ""))
def test_no_secret_of_a_manifest_is_in_its_refusal(case: tuple[int, Any], around: tuple[str, str]) -> None:
    number, document = case
    documents = [*DOCUMENTS, *SECRET_DOCUMENTS[:number], document, *SECRET_DOCUMENTS[number + 1 :]]
    text = MARK.join(around).join(yaml.safe_dump_all(documents).split(MARK))
    assert_hidden(refusal(partial(manifests.parsed, {"all.yaml": text}, "shop")))


def kubeconfigs(user: Any, cluster: Any) -> st.SearchStrategy[Any]:
    users, clusters = [{"name": "u", "user": user}], [{"name": "c", "cluster": cluster}]
    return planted({**KUBECONFIG, "users": users, "clusters": clusters})


@settings(deadline=None, max_examples=40)
@given(st.tuples(st.sampled_from(USERS), st.sampled_from(CLUSTERS)).flatmap(lambda both: kubeconfigs(*both)), AROUND)
@example({**KUBECONFIG, "users": [{"name": "u", "user": {"exec": EXEC}}]}, ("", ""))
@example({**KUBECONFIG, "users": [{"name": "u", "user": {"token": MARK}}]}, ("", ": x: ["))
def test_no_secret_of_a_kubeconfig_is_in_its_refusal(document: Any, around: tuple[str, str]) -> None:
    with TemporaryDirectory() as folder:
        file = Path(folder) / "kubeconfig"
        file.write_text(MARK.join(around).join(yaml.safe_dump(document).split(MARK)))
        assert_hidden(refusal(lambda: access.read(file)))
        assert_hidden(refusal(lambda: kubeconfig.guard("c", kubeconfig.server(file.read_text()), (), None)))
