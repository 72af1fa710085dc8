"""The ingress's rules are Go and have their tests beside them; here they run with all others."""

import os
import subprocess
from pathlib import Path

from devenv.system import process, state

FOLDER = Path(__file__).parents[2] / "k8s/images/ingress"


def test_the_tests_of_the_ingress_s_rules_pass() -> None:
    environment = {**os.environ, "PATH": process.search_path([state.cache() / "bin"])}
    for argv in (["go", "vet", "./..."], ["go", "test", "./..."]):
        done = subprocess.run(argv, cwd=FOLDER, env=environment, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.count("ok") == 3
