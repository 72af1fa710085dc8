"""The pull path, against a real registry on loopback (Debian's docker-registry)."""

import json

from tests.cluster.environment import Environment, docker


def row(env: Environment, name: str) -> dict[str, object]:
    rows = json.loads(env.fine("images", "list", "-o", "json"))
    return next(dict(r) for r in rows if r["name"] == name)


def test_an_image_is_pulled_where_its_registry_answers_and_built_where_it_does_not(
    hello_project: Environment, registry: str
) -> None:
    env = hello_project
    env.fine("images", "build", "hello")
    built = str(row(env, "hello")["ref"])
    pushed = f"{registry}/hello:1"
    docker("tag", built, pushed)
    docker("push", pushed)
    docker("rmi", pushed)

    env.edit("pyproject.toml", 'build = "app"', f'pull = "{pushed}"\nimage = "hello"')
    assert row(env, "hello") | {"host": False, "source": f"pull {pushed}"} == row(env, "hello")
    done = env.run("images", "build", "hello")
    assert done.returncode == 0, done.stderr
    assert f"pulled {pushed}" in done.stderr
    pulled = str(row(env, "hello")["ref"])
    assert pulled != built
    layers = "{{json .RootFS.Layers}}"
    assert docker("inspect", "--format", layers, pulled) == docker("inspect", "--format", layers, built)
    docker("rmi", pulled, pushed)

    # A registry that answers and has no such image: the folder is the way left.
    env.edit("pyproject.toml", f'pull = "{pushed}"', f'pull = "{registry}/nothing:1"\nbuild = "app"')
    done = env.run("images", "build", "hello")
    assert done.returncode == 0, done.stderr
    assert "built from" in done.stderr
    docker("rmi", str(row(env, "hello")["ref"]))


def test_an_image_that_cannot_be_had_is_told(hello_project: Environment) -> None:
    hello_project.edit("pyproject.toml", 'build = "app"', 'pull = "127.0.0.1:9/hello:1"\nimage = "hello"')
    failed = hello_project.run("images", "build", "hello")
    assert failed.returncode == 1
    assert failed.stderr[failed.stderr.index("error:") :].startswith("error: pull 127.0.0.1:9/hello:1: ")
