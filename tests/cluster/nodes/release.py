"""A release of the project, and the cluster where its environments are."""

import json
import re
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.cluster.environment import Environment, docker
from tests.cluster.foreign import Foreign

SECRETS = {"POSTGRES_USER": "soma", "POSTGRES_PASSWORD": "of-the-tests", "POSTGRES_DB": "somabrain"}


@dataclass
class Release:
    """A copy of the project, its images in the registry, and the cluster where its environments are."""

    env: Environment
    foreign: Foreign
    images: dict[str, str]  # by digest, by the name of the image

    def promote(self, name: str, *words: str, **images: str) -> "subprocess.CompletedProcess[str]":
        chosen = [f"--image={ref}" for ref in (self.images | images).values()]
        return self.env.run("promote", name, "--context", self.foreign.context, *chosen, *words)

    def fine(self, name: str, *words: str, **images: str) -> str:
        done = self.promote(name, *words, **images)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def variant(self, name: str, lines: str, files: dict[str, str], folder: Path) -> str:
        """Push the API's image with something put on top of it, and return it by its digest."""
        for file, text in files.items():
            (folder / file).write_text(text)
        (folder / "Dockerfile").write_text(f"FROM {self.images['somabrain']}\n{lines}\n")
        tag = f"{self.foreign.registry}/somabrain:{name}"
        docker("build", "--quiet", "--tag", tag, str(folder))
        digest = re.search(r"digest: (sha256:[0-9a-f]{64})", docker("push", tag))
        assert digest
        docker("rmi", tag)
        return f"{self.foreign.registry}/somabrain@{digest[1]}"

    def pods(self, namespace: str, *which: str) -> list[dict[str, Any]]:
        """Return the pods that are not on their way out."""
        seen = json.loads(self.foreign.kubectl("-n", namespace, "get", "pods", *which, "-o", "json"))["items"]
        return [pod for pod in seen if "deletionTimestamp" not in pod["metadata"]]

    def api(self, namespace: str) -> dict[str, Any]:
        """Return the image of the API's pods, and how often the Deployment was changed."""
        seen = json.loads(self.foreign.kubectl("-n", namespace, "get", "deployment", "somabrain", "-o", "json"))
        container = seen["spec"]["template"]["spec"]["containers"][0]
        return {"image": container["image"], "generation": seen["metadata"]["generation"]}


def secrets(foreign: Foreign, namespace: str, host: str) -> None:
    """Bring what an environment does not make."""
    dsn = f"postgresql://{SECRETS['POSTGRES_USER']}:{SECRETS['POSTGRES_PASSWORD']}@{host}:5432/{SECRETS['POSTGRES_DB']}"
    for name, values in {
        "somabrain-postgres": SECRETS,
        "somabrain-secrets": {"SOMABRAIN_POSTGRES_DSN": dsn, "SOMABRAIN_API_TOKEN": "of-the-tests"},
    }.items():
        literals = [f"--from-literal={key}={value}" for key, value in values.items()]
        foreign.kubectl("-n", namespace, "create", "secret", "generic", name, *literals)


def cleared(foreign: Foreign, *namespaces: str) -> None:
    """Take an environment away, with what it has outside its namespace: who comes next would meet another's."""
    foreign.kubectl("delete", "namespace", *namespaces)
    foreign.kubectl("delete", "priorityclass", "somabrain", "somabrain-data", "--ignore-not-found")
