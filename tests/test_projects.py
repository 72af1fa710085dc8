"""Small projects of each kind, as strangers have them: loaded, rendered and planned without a cluster."""

from pathlib import Path

import pytest

from devenv.images.builder import required
from devenv.project import settings, sources
from devenv.project.stack import Stack
from devenv.reconcile import node_ports
from devenv.reconcile.observed import Observed
from devenv.reconcile.plan import make_plan
from tests.test_plan import done

PROJECTS = Path(__file__).parent / "projects"


def loaded(name: str) -> Stack:
    return sources.load(settings.load(PROJECTS / name / "pyproject.toml", {}, {}))


@pytest.mark.parametrize(
    ("name", "images", "workloads"),
    [
        ("chart", {"server"}, {"deployment/web", "job/check", "job/migrate", "job/greet"}),
        ("hello", {"hello"}, {"deployment/hello"}),
        ("queue", {"app", "redis"}, {"deployment/queue", "deployment/api", "deployment/worker"}),
        ("stages", {"hello"}, {"deployment/hello"}),
    ],
)
def test_a_project_is_loaded_and_planned_and_has_nothing_left_to_do_when_all_of_it_is_there(
    name: str, images: set[str], workloads: set[str]
) -> None:
    stack = loaded(name)
    assert set(stack.wanted_images) == images
    assert {str(o.id) for o in stack.workloads} == workloads
    steps = [step.name for step in make_plan(stack, Observed())]
    assert {f"image {image}" for image in images} | {f"ready {w}" for w in workloads} | {"cluster"} <= set(steps)
    assert node_ports.faults(stack.objects) == []
    assert make_plan(stack, done(stack)) == ()


def test_of_a_dockerfile_with_mounts_the_line_is_told_that_needs_buildkit() -> None:
    source = loaded("stages").images["hello"].source
    assert required(source) == "line 4: --mount"
    assert {f.path for f in source.files} == {
        "server.pl", "docker/Dockerfile.dev", "docker/Dockerfile.dev.dockerignore"
    }  # fmt: skip


def test_stages_with_names_of_devenv_s_own_images_are_stages() -> None:
    assert loaded("stages").images["hello"].bases == ("devenv.base",)
