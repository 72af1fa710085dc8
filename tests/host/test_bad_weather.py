"""`up` and `promote` through a proxy that refuses, resets, holds up and cuts off a fifth of all requests.

Each run ends in the right state, or with an error that says what happened. `WEATHER_RUNS=100` looks at more of them.
"""

import json
import os
from collections.abc import Iterator
from secrets import randbits

import httpx
import pytest
import yaml

from tests import weather
from tests.cluster.environment import Environment
from tests.cluster.foreign import Foreign, flags
from tests.host.test_provider import guest as guest  # the project that comes to somebody's cluster
from tests.host.test_provider import page
from tests.weather import Weather

RUNS, BAD = int(os.environ.get("WEATHER_RUNS", "4")), 0.2
RENDER = """
[tool.devenv.environments.staging]
namespace = "hello"
images = ["hello"]
render = ["bash", "-c", 'sed "s|image: hello|image: $0|" k8s/hello.yaml']
"""


@pytest.fixture
def sky(foreign: Foreign, guest: Environment) -> Iterator[Weather]:
    seed = int(os.environ.get("WEATHER_SEED") or randbits(32))
    print(f"WEATHER_SEED={seed}")
    with weather.before(foreign.kubeconfig, foreign.context, seed) as sky:
        cluster = {"name": "c", "cluster": {"server": f"http://127.0.0.1:{sky.port}"}}
        context = {"name": foreign.context, "context": {"cluster": "c"}}
        file = guest.root / "behind"
        file.write_text(yaml.safe_dump({"clusters": [cluster], "contexts": [context], "users": []}))
        clear, guest.extra["KUBECONFIG"] = guest.extra["KUBECONFIG"], str(file)
        yield sky
        sky.bad = 0.0
        guest.fine("down", "--yes", *flags(foreign))
        guest.extra["KUBECONFIG"] = clear


def told(stderr: str) -> str:
    """Return the error, which is none of Python's."""
    assert "Traceback" not in stderr, stderr
    return next(line for line in stderr.splitlines() if line.startswith("error: "))


def test_up_through_bad_weather_brings_the_stack_up_or_says_what_happened(
    foreign: Foreign, guest: Environment, sky: Weather
) -> None:
    here, came_up = flags(foreign), 0
    for _ in range(RUNS):
        sky.bad = BAD
        done = guest.run("up", *here)
        sky.bad = 0.0
        if done.returncode == 0:
            came_up += 1
            assert page(guest) == "hello\n"
            assert guest.plan(*here) == ""
        else:
            assert done.returncode in (1, 3), done.stderr
            told(done.stderr)
            guest.fine("up", *here)  # what was begun is no obstacle
        sky.bad = BAD
        done = guest.run("down", "--yes", *here)
        sky.bad = 0.0
        if done.returncode:
            told(done.stderr)
            guest.fine("down", "--yes", *here)
        assert foreign.kubectl("get", "namespace", "hello", "--ignore-not-found") == ""
    print(f"{came_up} of {RUNS} came up, {len(sky.met)} faults")
    assert came_up
    assert sky.met


def deployed(foreign: Foreign) -> str:
    seen = json.loads(foreign.kubectl("-n", "hello", "get", "deployment", "hello", "-o", "json"))
    return str(seen["metadata"]["annotations"].get("turn", ""))


def by_digest(foreign: Foreign) -> str:
    """Return the image of the Deployment as its registry has it."""
    image = foreign.kubectl("-n", "hello", "get", "deployment", "hello", "-o", "jsonpath={..containers[0].image}")
    name, _, tag = image.removeprefix(f"{foreign.registry}/").partition(":")
    accept = {
        "Accept": "application/vnd.docker.distribution.manifest.v2+json, application/vnd.oci.image.manifest.v1+json"
    }
    answer = httpx.head(f"http://{foreign.registry}/v2/{name}/manifests/{tag}", headers=accept)
    return f"{foreign.registry}/{name}@{answer.headers['Docker-Content-Digest']}"


def test_promote_through_bad_weather_is_done_or_undone_and_says_so(
    foreign: Foreign, guest: Environment, sky: Weather
) -> None:
    guest.fine("up", *flags(foreign))
    image = by_digest(foreign)
    guest.fine("down", "--yes", *flags(foreign))
    foreign.kubectl("create", "namespace", "hello")
    pyproject = guest.root / "pyproject.toml"
    pyproject.write_text(pyproject.read_text() + RENDER)
    words = ("promote", "staging", "--context", foreign.context, "--image", image)
    turned, before = 0, "kind: Deployment\nmetadata:\n  name: hello\n"
    guest.edit("k8s/hello.yaml", before, f'{before}  annotations: {{turn: "first"}}\n')
    guest.fine(*words)
    was = "first"
    for turn in map(str, range(RUNS)):
        guest.edit("k8s/hello.yaml", f'turn: "{was}"', f'turn: "{turn}"')
        sky.bad = BAD
        done = guest.run(*words)
        sky.bad = 0.0
        if done.returncode == 0:
            turned += 1
            assert deployed(foreign) == turn
        else:
            assert done.returncode in (1, 3), done.stderr
            told(done.stderr)
            if "undoing it failed too" not in done.stderr:
                assert deployed(foreign) == was
            guest.fine(*words)
        was = turn
    print(f"{turned} of {RUNS} were promoted, {len(sky.met)} faults")
    assert turned
    assert sky.met

    # A release that never gets ready: its undoing meets the weather too.
    guest.edit("k8s/hello.yaml", f'turn: "{was}"', 'turn: "broken"')
    guest.edit("k8s/hello.yaml", "port: 8080", "port: 8081")  # where nobody answers the probe
    sky.bad = BAD
    done = guest.run(*words, "--timeout", "20s")
    sky.bad = 0.0
    assert done.returncode in (1, 3), done.stderr
    told(done.stderr)
    if "undoing it failed too" not in done.stderr:
        assert deployed(foreign) == was
    guest.edit("k8s/hello.yaml", 'turn: "broken"', f'turn: "{was}"')
    guest.edit("k8s/hello.yaml", "port: 8081", "port: 8080")
    guest.fine(*words)  # whatever became of it is no obstacle
    assert deployed(foreign) == was
    foreign.kubectl("delete", "namespace", "hello")
