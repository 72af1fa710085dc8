"""The runbook's emergency: a file of the API replaced without an image, and taken out again."""

import json

import httpx

from tests.cluster.environment import Environment
from tests.cluster.following import HEALTH, LINE, life

CHANGED = '    return JSONResponse({"ok": True, "line": 5})\n'


def health(env: Environment) -> dict[str, object]:
    return dict(httpx.get(f"http://127.0.0.1:{env.ports['api']}/health", timeout=60, trust_env=False).json())


def test_a_replaced_file_serves_is_told_of_and_goes_again(stack: Environment) -> None:
    fixed = stack.root / "fixed.py"
    fixed.write_text((stack.root / HEALTH).read_text().replace(LINE, CHANGED, 1))
    try:
        stack.fine("override", "set", "fixed.py=somabrain/health.py", "--why", "a proof")
        assert life(stack) == {"ok": True, "line": 5}
        assert health(stack)["overridden"] == ["somabrain/health.py"]
        assert stack.status()["replaced"] == ["somabrain/health.py (a proof)"]
        assert stack.plan() == "", "what others have beside is no drift"
        assert '+    return JSONResponse({"ok": True, "line": 5})' in stack.fine("override", "diff").splitlines()
        tested = stack.run("test", "learning", "--", "-k", "no_such_test")
        assert "replaced, not the image's: somabrain/health.py (a proof)" in tested.stderr
        fixed.write_text("raise RuntimeError('not today')\n")
        failed = stack.run("override", "set", "fixed.py=somabrain/health.py", "--why", "a mistake")
        assert failed.returncode == 1
        assert "RuntimeError: not today" in failed.stderr
        assert "taken back" in failed.stderr
        assert life(stack) == {"ok": True, "line": 5}
    finally:
        stack.fine("override", "clear")
    assert life(stack) == {"ok": True}
    assert health(stack)["overridden"] == []
    assert json.loads(stack.fine("override", "list", "-o", "json")) == []
    assert stack.status()["replaced"] == []
