"""devenv init: what is found in a folder becomes a table that devenv loads, and manifests that a person would keep."""

import json
import os
import shutil
import subprocess
import sys
import tomllib
from copy import deepcopy
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from devenv.commands import init
from devenv.errors import UsageError
from devenv.kube import documents
from devenv.project import envfile, sources
from devenv.project import settings as config
from devenv.project.stack import Stack
from devenv.reconcile import node_ports
from devenv.scaffold import compose, passwords, template, text
from devenv.scaffold.passwords import Passwords
from devenv.system import process
from tests.test_any_input import VALUES, places

PROJECTS = Path(__file__).parent / "projects"
WEB = {"build": "app", "ports": ["8080:80"]}
Objects = dict[str, dict[str, Any]]


def folder(root: Path, services: Any = None, /, files: dict[str, str] | None = None, **more: Any) -> Path:
    """Return a project with a Dockerfile, and a compose file of these services."""
    root.mkdir(exist_ok=True)
    for path, content in {"app/Dockerfile": "FROM scratch\nEXPOSE 80\n", **(files or {})}.items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text(content)
    if services is not None:
        (root / "compose.yaml").write_text(yaml.safe_dump({"services": services, **more}, sort_keys=False))
    return root


def written(root: Path) -> init.Proposal:
    proposal = init.propose(root)
    init.write(proposal)
    return proposal


def objects(root: Path) -> Objects:
    """Return what the manifests of a folder have, by kind and name."""
    texts = [file.read_text() for file in sorted((root / "k8s").iterdir())]
    found = [document for one in texts for _, document in documents.read(one)]
    return {f"{o['kind']}/{o['metadata']['name']}": o for o in found}


def container(root: Path, name: str) -> dict[str, Any]:
    spec: dict[str, Any] = objects(root)[name]["spec"]["template"]["spec"]
    (one,) = spec["containers"]
    return dict(one)


def table(root: Path) -> dict[str, Any]:
    return tomllib.loads((root / "devenv-stack.toml").read_text())


def loaded(root: Path) -> Stack:
    return sources.load(config.load(root / "pyproject.toml", {}, {}))


def test_a_compose_project_becomes_a_stack_that_is_loaded_as_it_stands(tmp_path: Path) -> None:
    root = Path(shutil.copytree(PROJECTS / "compose", tmp_path / "shop"))
    proposal = written(root)
    stack = loaded(root)
    assert {str(o.id) for o in stack.workloads} == {
        "deployment/web",
        "job/migrate",
        "statefulset/db",
        "deployment/cache",
    }
    assert set(stack.wanted_images) == {"web", "postgres", "redis"}
    assert [str(gate.id) for gate in stack.gates] == ["job/migrate"]
    (web,) = (o for o in stack.workloads if str(o.id) == "deployment/web")
    assert [str(gate.id) for gate in stack.gates_before(web)] == ["job/migrate"]
    assert {f.name: f.local_port for f in stack.forwards} == {"web": 8080}
    assert node_ports.faults(stack.objects) == []
    assert stack.env_file == {"POSTGRES_PASSWORD": "not-for-production"}
    said = "".join(path.read_text() for path in (root / "k8s").iterdir()) + (root / "devenv-stack.toml").read_text()
    assert "not-for-production" not in said
    assert any("./web" in note and "line 18" in note for note in proposal.notes)


def test_nothing_that_is_there_is_overwritten(tmp_path: Path) -> None:
    root = folder(tmp_path / "shop", {"web": WEB}, {"k8s/web.yaml": "a person's own words\n"})
    with pytest.raises(UsageError, match=r"k8s/web.yaml: there already; nothing was written\nhint: "):
        init.propose(root)
    (root / "k8s/web.yaml").unlink()
    written(root)
    before = {path: path.read_bytes() for path in root.rglob("*") if path.is_file()}
    with pytest.raises(UsageError, match=r"devenv-stack.toml: has a table of devenv's already.*\nhint: devenv up"):
        init.propose(root)
    assert {path: path.read_bytes() for path in root.rglob("*") if path.is_file()} == before


def test_what_cannot_be_written_whole_is_taken_back(tmp_path: Path) -> None:
    root = folder(tmp_path / "shop", {"web": WEB, "db": {"image": "postgres:15"}})
    proposal = init.propose(root)
    (root / "k8s").mkdir()
    (root / "k8s/db.yaml").write_text("somebody was faster\n")
    with pytest.raises(Exception, match="nothing was written"):
        init.write(proposal)
    assert (root / "k8s/db.yaml").read_text() == "somebody was faster\n"
    assert not (root / "k8s/web.yaml").exists()
    assert not (root / "devenv-stack.toml").exists()


def test_the_table_is_added_to_pyproject_and_its_tests_are_those_of_pytest(tmp_path: Path) -> None:
    python = '[project]\nname = "shop-py"\nversion = "1"\ndependencies = ["pytest"]'
    root = folder(tmp_path / "x", {"web": WEB}, {"pyproject.toml": python, "tests/test_a.py": ""})
    written(root)
    text = (root / "pyproject.toml").read_text()
    assert text.startswith(python + "\n\n[tool.devenv]\n")
    assert tomllib.loads(text)["tool"]["devenv"]["tests"] == {"all": {"run": ["pytest", "tests"]}}
    assert loaded(root).settings.project.name == "shop-py"


def test_a_pyproject_that_cannot_take_the_table_is_left_alone(tmp_path: Path) -> None:
    root = folder(tmp_path / "x", {"web": WEB}, {"pyproject.toml": "tool = {}\n"})
    written(root)
    assert (root / "pyproject.toml").read_text() == "tool = {}\n"
    assert loaded(root).settings.file.name == "devenv-stack.toml"


def test_npm_s_tests_are_those_of_the_package(tmp_path: Path) -> None:
    package = json.dumps({"name": "shop", "scripts": {"test": "vitest"}})
    written(folder(tmp_path / "x", {"web": WEB}, {"package.json": package}))
    assert table(tmp_path / "x")["tests"] == {"all": {"run": ["npm", "test"]}}


def test_passwords_go_into_the_env_file_and_by_the_table_into_a_secret(tmp_path: Path) -> None:
    web = {
        **WEB,
        "environment": [
            "API_TOKEN=t0ken-of-1",
            "DSN=postgres://u:pass-of-2@db/x",
            "LEVEL=${LEVEL:-info}",
            "KEYS_DIR=/k",
        ],
        "command": ["serve", "--password", "${ADMIN_PASSWORD:-of-3}", "--cost", "$$(nproc)"],
    }
    db = {"image": "mysql:8", "environment": {"MYSQL_ROOT_PASSWORD": "${ROOT_PASSWORD:?}", "MYSQL_PASSWORD_FILE": "/r"}}
    root = folder(tmp_path / "x", {"web": web, "db": db})
    written(root)
    assert table(root)["secrets"] == {
        "web": {"API_TOKEN": "${env.API_TOKEN}", "DSN": "${env.DSN}", "ADMIN_PASSWORD": "${env.ADMIN_PASSWORD}"},
        "db": {"MYSQL_ROOT_PASSWORD": "${env.ROOT_PASSWORD}"},
    }
    assert envfile.read((root / ".env.example").read_text()) == {
        "ADMIN_PASSWORD": "of-3",
        "API_TOKEN": "t0ken-of-1",
        "DSN": "postgres://u:pass-of-2@db/x",
        "ROOT_PASSWORD": "<generated>",
    }
    one = container(root, "Deployment/web")
    assert one["args"] == ["serve", "--password", "$(ADMIN_PASSWORD)", "--cost", "$$(nproc)"]
    assert {e["name"]: e.get("value") for e in one["env"]} == {
        "LEVEL": "info",
        "KEYS_DIR": "/k",
        "API_TOKEN": None,
        "DSN": None,
        "ADMIN_PASSWORD": None,
    }
    assert {"name": "MYSQL_PASSWORD_FILE", "value": "/r"} in container(root, "Deployment/db")["env"]
    manifests = "".join(path.read_text() for path in (root / "k8s").iterdir())
    assert not any(word in manifests for word in ("of-1", "of-2", "of-3"))
    assert "# ${LEVEL:-info} in compose.yaml" in manifests
    assert len(loaded(root).env_file["ROOT_PASSWORD"]) > 20  # one of its own was made


def test_an_env_file_that_is_there_keeps_its_settings_and_gets_those_that_lack(tmp_path: Path) -> None:
    web = {
        **WEB,
        "environment": {"API_TOKEN": "${API_TOKEN}", "SECRET": "other", "HOST": "${HOST}"},
        "env_file": "web.env",
    }
    files = {".env": "API_TOKEN=mine\nSECRET=taken\nHOST=h", "web.env": "MAIL_PASSWORD='s e'\nPLAIN=1\n"}
    root = folder(tmp_path / "x", {"web": web}, files)
    written(root)
    lines = (root / ".env").read_text().splitlines()
    assert lines == ["API_TOKEN=mine", "SECRET=taken", "HOST=h", "MAIL_PASSWORD='s e'", "WEB_SECRET=other"]
    # What git may not have is in no file that it has.
    assert (root / ".env.example").read_text() == "MAIL_PASSWORD=<generated>\nWEB_SECRET=other\n"
    assert table(root)["secrets"]["web"] == {
        "MAIL_PASSWORD": "${env.MAIL_PASSWORD}",
        "API_TOKEN": "${env.API_TOKEN}",
        "SECRET": "${env.WEB_SECRET}",
    }
    assert {e["name"]: e.get("value") for e in container(root, "Deployment/web")["env"]}["HOST"] == "h"


def test_what_is_private_makes_an_env_file_of_this_person_alone(tmp_path: Path) -> None:
    root = folder(tmp_path / "x", {"web": {**WEB, "env_file": ["web.env"]}}, {"web.env": "API_KEY=private-1\n"})
    proposal = written(root)
    assert (root / ".env").read_text() == "API_KEY=private-1\n"
    assert (root / ".env").stat().st_mode & 0o077 == 0
    assert "private-1" not in "".join([*proposal.notes, *(file.shown for file in proposal.files)])
    assert any("git does not ignore" in note for note in proposal.notes)


def test_a_healthcheck_is_a_readiness_probe(tmp_path: Path) -> None:
    check = {"test": "curl -f http://localhost:80/ping?$$Q", "interval": "1m30s", "timeout": "500ms", "retries": 5}
    others = {
        "none": {**WEB, "ports": ["81:80"], "healthcheck": {"test": ["NONE"]}},
        "plain": {**WEB, "ports": ["82:80"]},
        "worker": {"build": "app", "expose": [], "image": "w"},
    }
    root = folder(tmp_path / "x", {"web": {**WEB, "healthcheck": check}, **others})
    (root / "app/Dockerfile").write_text("FROM scratch\n")
    written(root)
    assert container(root, "Deployment/web")["readinessProbe"] == {
        "exec": {"command": ["/bin/sh", "-c", "curl -f http://localhost:80/ping?$Q"]},
        "periodSeconds": 90,
        "timeoutSeconds": 1,
        "failureThreshold": 5,
    }
    assert table(root)["forwards"]["web"] == {"service": "web", "ports": "8080:80", "probe": "http /ping?"}
    assert "readinessProbe" not in container(root, "Deployment/none")
    assert container(root, "Deployment/plain")["readinessProbe"]["tcpSocket"] == {"port": 80}
    assert "readinessProbe" not in container(root, "Deployment/worker")


def test_volumes_are_claims_scratch_space_or_told(tmp_path: Path) -> None:
    web = {
        **WEB,
        "volumes": [".:/app", "/app/node_modules", "/cache", "files:/files:ro"],
        "tmpfs": "/t",
        "shm_size": "64m",
    }
    services = {
        "web": web,
        "db": {"image": "postgres:15", "volumes": ["data:/var/lib/postgresql/data", "files:/files"]},
        "other": {"image": "redis", "volumes": [{"type": "volume", "source": "own", "target": "/data"}]},
        "worker": {"build": "app", "volumes": ["kept:/kept"]},
    }
    root = folder(tmp_path / "x", services, volumes={"files": None, "data": {}, "own": None, "kept": {"driver": "nfs"}})
    proposal = written(root)
    there = objects(root)
    pod = there["Deployment/web"]["spec"]["template"]["spec"]
    assert {m["mountPath"]: m.get("readOnly", False) for m in pod["containers"][0]["volumeMounts"]} == {
        "/cache": False,
        "/files": True,
        "/t": False,
        "/dev/shm": False,  # noqa: S108
    }
    assert {"name": "files", "persistentVolumeClaim": {"claimName": "files"}} in pod["volumes"]
    assert {"name": "shm", "emptyDir": {"medium": "Memory", "sizeLimit": str(64 << 20)}} in pod["volumes"]
    assert sorted(k for k in there if k.startswith("Pers")) == [
        "PersistentVolumeClaim/files",
        "PersistentVolumeClaim/kept",
    ]
    (claim,) = there["StatefulSet/db"]["spec"]["volumeClaimTemplates"]
    assert claim["metadata"]["name"] == "data"
    assert there["Deployment/worker"]["spec"]["strategy"] == {"type": "Recreate"}
    assert "StatefulSet/other" in there
    told = "\n".join(proposal.notes)
    assert "services.web.volumes.0: a folder of this machine (.) on /app: left out" in told
    assert "services.web.volumes.1: /app/node_modules" in told
    assert "volumes.kept.driver" in told
    loaded(root)


def test_one_shots_are_jobs_and_only_those_that_others_wait_for_are_gates(tmp_path: Path) -> None:
    done = {"condition": "service_completed_successfully"}
    services = {
        "web": {**WEB, "depends_on": {"seed": done}},
        "seed": {"build": "app", "command": "seed 'a b'", "depends_on": {"migrate": done}},
        "migrate": {"build": "app", "entrypoint": ["migrate"], "restart": "on-failure"},
        "report": {"build": "app", "restart": "no", "depends_on": ["web"]},
        "page": {"build": "app", "restart": "no", "ports": ["8081:80"]},
    }
    root = folder(tmp_path / "x", services)
    proposal = written(root)
    kinds = {name for name in objects(root) if not name.startswith("Service/")}
    assert kinds == {"Deployment/web", "Job/seed", "Job/migrate", "Job/report", "Deployment/page"}
    assert table(root)["gates"] == {"job/seed": ["deployment/web"]}
    assert container(root, "Job/seed")["args"] == ["seed", "a b"]
    assert container(root, "Job/migrate")["command"] == ["migrate"]
    assert any("seed does not wait for migrate" in note for note in proposal.notes)
    loaded(root)


def test_of_two_gates_neither_is_said_to_wait_for_the_other(tmp_path: Path) -> None:
    done = {"condition": "service_completed_successfully"}
    services = {
        "web": {**WEB, "depends_on": {"seed": done, "migrate": done}},
        "seed": {"build": "app", "depends_on": {"migrate": done}},
        "migrate": {"build": "app"},
    }
    root = folder(tmp_path / "x", services)
    proposal = written(root)
    assert table(root)["gates"] == {"job/seed": ["deployment/web"], "job/migrate": ["deployment/web"]}
    assert any("seed does not wait for migrate" in note for note in proposal.notes)
    loaded(root)


def test_images_are_built_or_pulled_each_once(tmp_path: Path) -> None:
    services: dict[str, Any] = {
        "web": {
            "build": {"context": "app", "target": "web", "args": ["A=1", "NPM_TOKEN=x"]},
            "image": "r.example.com/s/web:1",
        },
        "worker": {"build": {"context": "./app", "dockerfile": "Dockerfile.w"}, "platform": "linux/arm64"},
        "again": {"build": {"context": "app/", "dockerfile": "Dockerfile.w"}, "platform": "linux/arm64"},
        "old": {"image": "postgres:14"},
        "db": {"image": "postgres:15"},
        "same": {"image": "docker.io/library/postgres:15"},
        "cache": {"image": "ghcr.io/x/Cache_2@sha256:" + "0" * 64},
    }
    root = folder(tmp_path / "x", services, {"app/Dockerfile.w": "FROM scratch\n"})
    proposal = written(root)
    assert table(root)["images"] == {
        "web": {"image": "r.example.com/s/web", "build": "app", "target": "web", "args": {"A": "1"}},
        "worker": {"build": "app", "dockerfile": "Dockerfile.w", "platform": "linux/arm64"},
        "postgres": {"pull": "postgres:14"},
        "postgres-2": {"pull": "postgres:15", "image": "postgres-2"},
        "postgres-3": {"pull": "docker.io/library/postgres:15", "image": "postgres-3"},
        "cache-2": {"pull": services["cache"]["image"]},
    }
    assert container(root, "Deployment/again")["image"] == "worker"
    assert container(root, "Deployment/db")["image"] == "postgres-2"
    assert any("NPM_TOKEN" in note for note in proposal.notes)
    assert set(loaded(root).wanted_images) == set(table(root)["images"])


def test_a_pod_is_as_its_service_says(tmp_path: Path) -> None:
    web = {
        **WEB,
        "user": "1000:2000",
        "working_dir": "/w",
        "read_only": True,
        "cap_drop": ["ALL"],
        "stop_grace_period": "1m",
        "deploy": {
            "replicas": 2,
            "resources": {"limits": {"cpus": "0.5", "memory": "512M"}, "reservations": {"memory": "1g"}},
        },
        "tty": True,
        "secrets": ["token"],
        "configs": [{"source": "conf", "target": "/etc/web.conf"}],
    }
    more = {"secrets": {"token": {"file": "./token.txt"}}, "configs": {"conf": {"content": "a: 1\nb: 2\n"}}}
    root = folder(tmp_path / "x", {"web": web}, {"token.txt": "hush-hush-1\n"}, **more)
    written(root)
    one = container(root, "Deployment/web")
    assert one["securityContext"] == {
        "runAsUser": 1000,
        "runAsGroup": 2000,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    assert one["resources"] == {"requests": {"memory": "1Gi"}, "limits": {"cpu": "500m", "memory": "512Mi"}}
    assert (one["workingDir"], one["tty"]) == ("/w", True)
    assert {m["mountPath"]: m["subPath"] for m in one["volumeMounts"]} == {
        "/run/secrets/token": "token",
        "/etc/web.conf": "conf",
    }
    there = objects(root)
    assert there["ConfigMap/conf-config"]["data"] == {"conf": "a: 1\nb: 2\n"}
    assert there["Deployment/web"]["spec"]["replicas"] == 2
    assert table(root)["secrets"]["token-secret"] == {"token": "${env.TOKEN}"}
    assert loaded(root).env_file == {"TOKEN": "hush-hush-1\n"}


def test_services_are_reached_on_the_ports_that_anything_tells_of(tmp_path: Path) -> None:
    services = {
        "web": {"build": "app", "ports": ["80:80", "443:443", "53:53/udp"], "environment": {"A": "http://api:9000/x"}},
        "api": {"image": "api:1", "command": "serve"},
        "cache": {"image": "redis:7"},
        "odd": {"image": "odd:1"},
        "my_db": {"image": "x/postgres:1", "ports": ["127.0.0.1:5432:5432"], "depends_on": ["odd"]},
    }
    root = folder(tmp_path / "x", services)
    proposal = written(root)
    there = objects(root)
    assert [p["port"] for p in there["Service/web"]["spec"]["ports"]] == [80, 443, 53]
    assert there["Service/web"]["spec"]["ports"][2] == {"name": "udp-53", "port": 53, "protocol": "UDP"}
    assert there["Service/api"]["spec"]["ports"] == [{"port": 9000}]
    assert there["Service/cache"]["spec"]["ports"] == [{"port": 6379}]
    assert there["Service/odd"]["spec"]["clusterIP"] == "None"
    assert table(root)["forwards"] == {
        "web-80": {"service": "web", "ports": "8080:80"},
        "web-443": {"service": "web", "ports": "8443:443"},
        "my-db": {"service": "my-db", "ports": "5432:5432", "probe": "postgres"},
    }
    told = "\n".join(proposal.notes)
    assert "is my-db in the cluster" in told
    assert "53/udp" in told
    loaded(root)


def test_each_key_that_has_no_place_in_a_cluster_is_told_with_its_line(tmp_path: Path) -> None:
    keys = {
        "network_mode": "host",
        "privileged": True,
        "devices": ["/dev/x"],
        "extends": {"service": "y"},
        "labels": ["a=b"],
        "sysctls": {"a": "1"},
        "container_name": "w",
        "networks": ["back"],
    }
    services = {"web": {**WEB, **keys, "x-mine": 1}, "debug": {"image": "d", "profiles": ["debug"]}}
    root = folder(tmp_path / "x", services, version="3", networks={"back": {}})
    notes = written(root).notes
    for key in keys:
        (note,) = (note for note in notes if f"services.web.{key}: " in note)
        number = int(note.partition("line ")[2].partition(":")[0])
        assert (root / "compose.yaml").read_text().splitlines()[number - 1].strip().startswith(key)
    assert any("services.debug: belongs to profiles" in note for note in notes)
    assert not any("x-mine" in note or "version" in note for note in notes)
    assert "Deployment/debug" not in objects(root)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("services:\n  a: [\n", "compose.yaml: not valid YAML: line 3: "),
        ("a: 1\n", "compose.yaml: no services\nhint: "),
        ("services: {}\n", "compose.yaml: line 1: services: no services"),
        ("services:\n  a: 3\n", "compose.yaml: line 2: services.a: "),
        ("services:\n  a:\n    image: x\n    image: y\n", "line 4: the key image is there twice, first in line 3"),
        ("services:\n  a: {}\n", "compose.yaml: line 2: services.a: has neither image nor build"),
        ("services:\n  a:\n    build: gone\n", "compose.yaml: line 3: services.a.build: gone/Dockerfile: no such file"),
        (
            "services:\n  a:\n    image: x\n    ports: ['1:1']\n  b:\n    image: y\n    ports: ['1:2']\n",
            "compose.yaml: line 7: services.b.ports: port 1 is published by services.a too",
        ),
        (
            "services:\n  a:\n    image: x\n    depends_on: [b]\n  b:\n    image: y\n    depends_on: [a]\n",
            "compose.yaml: line 4: services.a.depends_on: services wait for each other: a → b → a",
        ),
        ("services:\n  a:\n    image: x\n    depends_on: [b]\n", "line 4: services.a.depends_on: no service b"),
        ("services:\n  a:\n    image: x\n    ports: [a]\n", "line 4: services.a.ports: a is no port such as 8080:80"),
        ("services:\n  a:\n    image: ${X:?}\n", "line 3: services.a.image: X is required, and not set"),
        ("services:\n  a:\n    image: x\n    environment: {A: '${'}\n", "line 4: services.a.environment.A: ${ "),
        ("services:\n  a_b: {image: x}\n  a-b: {image: y}\n", "line 3: services.a-b: has the name of services.a_b"),
        ("services:\n  a: {image: x}\n---\nservices: {}\n", "compose.yaml: 2 documents instead of one"),
    ],
)
def test_bad_input_is_told_with_file_line_and_key(tmp_path: Path, text: str, told: str) -> None:
    (tmp_path / "compose.yaml").write_text(text)
    with pytest.raises(UsageError) as error:
        init.propose(tmp_path)
    assert told in str(error.value)


def test_all_faults_of_the_model_are_told_at_once(tmp_path: Path) -> None:
    services = {"a": {"image": ["x"]}, "b": {"image": "x", "ports": ["x"], "volumes": ["rel"]}}
    with pytest.raises(UsageError) as error:
        init.propose(folder(tmp_path / "x", services))
    assert len(str(error.value).splitlines()) == 3


def test_a_folder_with_nothing_of_it_is_refused_with_a_hint(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"were found here\nhint: "):
        init.propose(tmp_path)


@pytest.mark.parametrize("name", ["hello", "stages", "chart", "queue"])
def test_manifests_that_are_there_are_taken_with_their_images_and_services(tmp_path: Path, name: str) -> None:
    """The small projects, without their tables: what init finds is what their authors wrote."""
    root = Path(shutil.copytree(PROJECTS / name, tmp_path / name))
    for file in ("pyproject.toml", "devenv-stack.toml"):
        (root / file).unlink(missing_ok=True)
    proposal = written(root)
    found = table(root)
    if name == "chart":
        assert found["manifests"] == {"chart": "chart", "values": ["values-dev.yaml"]}
        if not shutil.which("helm", path=process.search_path()):
            assert "could not be rendered: helm: not found on PATH" in "\n".join(proposal.notes)
            return
    stack = loaded(root)
    built = {"hello": {"hello"}, "stages": {"hello"}, "chart": {"server"}, "queue": {"redis"}}[name]
    assert set(stack.wanted_images) == built
    assert [f.service for f in stack.forwards] == {"hello": ["hello"], "stages": ["hello"], "queue": ["queue"]}.get(
        name, ["chart"]
    )
    assert all(f.local_port >= 1024 for f in stack.forwards)


def test_the_kustomization_for_development_goes_first_and_its_jobs_are_gates(tmp_path: Path) -> None:
    pod = {"containers": [{"name": "a", "image": "r.example.com/shop/api:1"}]}
    template_ = {"metadata": {"labels": {"a": "b"}}, "spec": pod}
    deployment = {"selector": {"matchLabels": {"a": "b"}}, "template": template_}
    job = {"template": {"spec": {**pod, "restartPolicy": "Never"}}}
    both = [
        {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "api"}, "spec": deployment},
        {"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": "migrate"}, "spec": job},
    ]
    files = {
        "services/api/Dockerfile": "FROM scratch\n",
        "k8s/base/kustomization.yaml": "resources: [all.yaml]\n",
        "k8s/base/all.yaml": yaml.safe_dump_all(both),
        **{
            f"k8s/overlays/{n}/kustomization.yaml": f"namespace: shop-{n}\nresources: [../../base]\n"
            for n in ("dev", "prod")
        },
    }
    root = folder(tmp_path / "shop", None, files)
    written(root)
    found = table(root)
    assert found["manifests"] == "k8s/overlays/dev"
    if shutil.which("kubectl", path=process.search_path()):
        assert found["namespace"] == "shop-dev"
        assert found["images"]["api"] == {"image": "r.example.com/shop/api", "build": "services/api"}
        assert found["gates"] == ["job/migrate"]
        assert [str(gate.id) for gate in loaded(root).gates] == ["job/migrate"]


def test_of_plain_manifests_only_those_are_named_that_are_some(tmp_path: Path) -> None:
    service = {"spec": {"selector": {"a": "b"}, "ports": [{"port": 80}, {"port": 8080, "name": "admin"}]}}
    docs = yaml.safe_dump_all([{"apiVersion": "v1", "kind": "Service", "metadata": {"name": "web"}, **service}])
    root = folder(tmp_path / "x", None, {"deploy/web.yaml": docs, "deploy/values.yaml": "a: 1\n"})
    written(root)
    assert table(root)["manifests"] == "deploy/web.yaml"
    assert table(root)["forwards"] == {
        "web-80": {"service": "web", "ports": "8080:80"},
        "web-admin": {"service": "web", "ports": "18080:8080"},
    }
    loaded(root)


def test_dockerfiles_alone_are_services_on_the_ports_that_they_expose(tmp_path: Path) -> None:
    root = folder(
        tmp_path / "x", None, {"worker/Dockerfile": "FROM scratch\n", "Dockerfile.api": "EXPOSE 8000/tcp 81\n"}
    )
    written(root)
    assert set(objects(root)) == {"Deployment/app", "Service/app", "Deployment/worker", "Deployment/api", "Service/api"}
    assert table(root)["images"]["api"] == {"build": ".", "dockerfile": "Dockerfile.api"}
    assert {f.name: f.local_port for f in loaded(root).forwards} == {"app": 8080, "api-81": 8081, "api-8000": 8000}


def test_names_that_are_no_text_are_passed_over(tmp_path: Path) -> None:
    root = folder(tmp_path / "x", {"web": WEB})
    odd = os.fsencode(root) + b"/\xff"
    os.mkdir(odd)  # noqa: PTH102
    Path(os.fsdecode(odd + b"/Dockerfile")).write_text("FROM scratch\n")
    written(root)
    loaded(root)


def test_the_command_asks_nothing_and_prints_without_writing(tmp_path: Path) -> None:
    root = folder(tmp_path / "shop", {"web": {**WEB, "environment": {"API_TOKEN": "hidden-token-1"}}})

    def devenv(*args: str) -> "subprocess.CompletedProcess[str]":
        argv = [sys.executable, "-m", "devenv", "init", *args]
        environ = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[1])}
        return subprocess.run(
            argv, cwd=root, env=environ, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False
        )

    before = {*root.rglob("*")}
    shown = devenv("--print")
    assert shown.returncode == 0, shown.stderr
    assert "==> k8s/web.yaml (new)" in shown.stdout
    assert "API_TOKEN=***" in shown.stdout
    assert "hidden-token-1" not in shown.stdout + shown.stderr
    assert {*root.rglob("*")} == before
    done = devenv("-o", "json")
    assert {file["path"] for file in json.loads(done.stdout)["files"]} == {
        "k8s/web.yaml",
        ".env.example",
        "devenv-stack.toml",
    }
    assert "hidden-token-1" not in done.stdout + done.stderr
    again = devenv()
    assert again.returncode == 2
    assert "hint: devenv up" in again.stderr


# Rules that hold for any input.

VALID: dict[str, Any] = {
    "name": "shop",
    "services": {
        "web": {
            "build": {"context": "app", "args": {"A": "1"}},
            "image": "r.example.com/web:1",
            "ports": ["8080:80", {"target": 81, "published": "9090", "protocol": "udp"}],
            "environment": {"TOKEN": "${TOKEN:-x}", "PLAIN": "a$$b", "NONE": None},
            "command": "serve --token ${TOKEN:-x} 'a b'",
            "healthcheck": {"test": ["CMD", "true"], "interval": "5s", "start_period": "1m"},
            "volumes": ["data:/data", {"type": "tmpfs", "target": "/t"}, "./src:/src"],
            "depends_on": {
                "db": {"condition": "service_healthy"},
                "job": {"condition": "service_completed_successfully"},
            },
            "deploy": {"replicas": 2, "resources": {"limits": {"cpus": "0.5", "memory": "64M"}}},
            "secrets": ["s"],
            "configs": [{"source": "c", "target": "/c"}],
            "user": "1:2",
        },
        "db": {
            "image": "postgres:15",
            "volumes": ["data2:/d"],
            "environment": ["POSTGRES_PASSWORD=p"],
            "restart": "always",
        },
        "job": {"build": "app", "restart": "no", "env_file": [".env", {"path": "gone.env", "required": False}]},
    },
    "volumes": {"data": None, "data2": {}},
    "secrets": {"s": {"file": "s.txt"}},
    "configs": {"c": {"content": "x"}},
}
TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)


def is_whole(root: Path) -> None:
    """Whatever was written is loaded by devenv itself, and each document is one object."""
    for file in (root / "k8s").iterdir():
        for document in yaml.safe_load_all(file.read_text()):
            assert {"apiVersion", "kind", "metadata"} <= document.keys()
            assert document["metadata"]["name"]
    loaded(root)


def mutated(document: Any, path: tuple[Any, ...], value: Any) -> Any:
    copy = deepcopy(document)
    place = copy
    for key in path[:-1]:
        place = place[key]
    if not path:
        return value
    place[path[-1]] = value
    return copy


@settings(max_examples=100, deadline=None)
@given(st.lists(st.tuples(st.sampled_from([p for p in places(VALID) if p]), VALUES | TEXTS), max_size=3))
def test_any_compose_file_becomes_a_stack_or_is_refused_in_words(changes: list[tuple[tuple[Any, ...], Any]]) -> None:
    document = VALID
    for path, value in changes:
        try:
            document = mutated(document, path, value)
        except (KeyError, TypeError, IndexError):  # what it was in is not there any more
            continue
    with TemporaryDirectory() as temporary:
        root = folder(Path(temporary) / "x", None, {"s.txt": "hush", ".env": "TOKEN=t\n"})
        (root / "compose.yaml").write_text(yaml.safe_dump(document, allow_unicode=True), encoding="utf-8")
        try:
            written(root)
        except UsageError:
            return
        is_whole(root)


@settings(deadline=None)
@given(
    st.recursive(
        TEXTS | st.booleans() | st.integers(-5, 70000), lambda inner: st.dictionaries(TEXTS, inner), max_leaves=8
    )
)
def test_what_is_written_as_yaml_is_read_back_by_kubectl_s_rules_and_by_pyyaml(value: Any) -> None:
    written_ = text.as_yaml([{"a": value, "list": [value, {"b": value}]}])
    expected = {"a": value, "list": [value, {"b": value}]}
    assert [d for _, d in documents.read(written_, documents.WithNulls)] == [expected]
    assert yaml.safe_load(written_) == expected


@settings(deadline=None)
@given(st.dictionaries(TEXTS.filter(bool), TEXTS | st.lists(TEXTS) | st.dictionaries(TEXTS, TEXTS)))
def test_what_is_written_as_toml_is_read_back(value: dict[str, Any]) -> None:
    assert tomllib.loads(text.as_toml((), value, {})) == value
    within = "longer than any of them"
    whole = tomllib.loads(text.as_toml(("a", "b c"), value, {(within,): {"d": 1}}))
    assert whole == {"a": {"b c": {**value, within: {"d": 1}}}}


@settings(deadline=None)
@given(st.dictionaries(st.from_regex(r"[A-Z_][A-Z0-9_]{0,5}", fullmatch=True), TEXTS, min_size=1))
def test_what_is_written_into_the_env_file_is_read_back(values: dict[str, str]) -> None:
    values = {key: value.replace("\r", "") for key, value in values.items()}
    new = {key: passwords.Setting(value, private=False) for key, value in values.items()}
    assert envfile.read(passwords.as_env(new, public=False)) == values


@pytest.mark.parametrize(
    ("raw", "values", "expected"),
    [
        ("$A-${A}", {"A": "1"}, "1-1"),
        ("${A:-b}|${A-b}", {"A": ""}, "b|"),
        ("${A:-${B:-c}d}", {}, "cd"),
        ("${A:+x}|${A+x}", {"A": ""}, "|x"),
        ("$$A $${A}", {"A": "1"}, "$A ${A}"),
        ("${A:?no}", {"A": "1"}, "1"),
        ("${A?no}", {}, None),
        ("${A", {}, None),
        ("$1", {}, None),
        ("${A!b}", {}, None),
        ("a", {}, "a"),
    ],
)
def test_variables_are_those_of_compose(raw: str, values: dict[str, str], expected: str | None) -> None:
    if expected is None:
        with pytest.raises(ValueError, match=r"\w"):
            template.joined(template.parse(raw), values)
    else:
        assert template.joined(template.parse(raw), values) == expected


def test_keys_of_a_fault_are_those_of_the_file() -> None:
    lines = {("services",): 1, ("services", "a"): 2}
    assert compose.place("f", lines, ("services", "a", "x")) == "f: line 2: services.a.x"
    assert compose.keys_of(("services", "a", "function-before[x]"), lines) == ("services", "a")
    assert compose.read("f", "services: {a: {image: x}}", Passwords()).services["a"].image == "x"
