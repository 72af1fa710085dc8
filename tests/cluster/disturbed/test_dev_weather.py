"""The loop of `devenv dev` where much happens at once, and where the cluster does not answer for a while."""

import hashlib
import time

from tests.cluster.disturbed.test_forwards import api_server_answers
from tests.cluster.environment import SHORT_S, Environment, docker
from tests.cluster.following import CHANGED_S, HEALTH, LINE, SOURCE, following, in_pod, life
from tests.waiting import eventually

SAVES, FILES = 100, 300
MANIFEST, AWAY = "/etc/kubernetes/manifests/kube-apiserver.yaml", "/root/kube-apiserver.yaml"
CHECKSUMS = "import hashlib, sys; print(*(hashlib.sha256(open(f, 'rb').read()).hexdigest() for f in sys.argv[1:]))"


def line(number: int) -> str:
    return f'    return JSONResponse({{"ok": True, "line": {number}}})\n'


def test_a_hundred_saves_in_ten_seconds_end_in_the_last_state(stack: Environment) -> None:
    file = stack.root / HEALTH
    text = file.read_text()
    with following(stack) as told:
        for number in range(SAVES):
            file.write_text(text.replace(LINE, line(number), 1))
            time.sleep(0.1)
        wanted = hashlib.sha256(file.read_bytes()).hexdigest()
        there = "/code/somabrain/health.py"
        eventually(lambda: in_pod(stack, "python3", "-c", CHECKSUMS, there).strip() == wanted, SHORT_S)
        eventually(lambda: life(stack) == {"ok": True, "line": SAVES - 1}, SHORT_S)
    assert "error" not in "".join(told.lines)


def test_hundreds_of_files_at_once_are_one_change(stack: Environment) -> None:
    shelf = stack.root / SOURCE / "shelf"
    with following(stack) as told:
        start = len(told.lines)
        made = stack.root / "made"  # beside what is followed, and put in place whole
        made.mkdir()
        for number in range(FILES):
            (made / f"book{number}.py").write_text(f"PAGES = {number}\n")
        made.rename(shelf)
        told.after(start, f"and {FILES - 3} more: sent to 1 container, answers after")
        assert sum("answers after" in said for said in told.lines[start:]) == 1
        wanted = [hashlib.sha256(f"PAGES = {n}\n".encode()).hexdigest() for n in (0, FILES - 1)]
        there = [f"/code/somabrain/shelf/book{n}.py" for n in (0, FILES - 1)]
        assert in_pod(stack, "python3", "-c", CHECKSUMS, *there).split() == wanted


def test_what_is_saved_while_the_api_server_is_away_answers_when_it_is_back(stack: Environment) -> None:
    with following(stack) as told:
        start = len(told.lines)
        docker("exec", stack.node, "mv", MANIFEST, AWAY)
        try:
            eventually(lambda: not api_server_answers(stack))
            stack.edit(HEALTH, LINE, line(7))
            time.sleep(30)
            assert life(stack) == {"ok": True}, "the old code serves"
        finally:
            docker("exec", stack.node, "mv", AWAY, MANIFEST)
        # Without another save, whether the first try outlasted that or not.
        told.after(start, "sent to 1 container, answers", CHANGED_S)
        assert life(stack) == {"ok": True, "line": 7}
