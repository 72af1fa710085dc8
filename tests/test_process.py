"""Children and locks, over real processes."""

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import nullcontext
from pathlib import Path
from threading import Thread

import pytest

from devenv.errors import CommandFailed, DevenvError, TimedOut
from devenv.system import process, state
from devenv.system.cancel import Cancel
from devenv.system.wait import poll
from tests.waiting import eventually


def test_output_is_returned_and_input_is_streamed() -> None:
    assert process.run(["cat"], stdin=(str(n).encode() for n in range(5))) == "01234"


def test_a_failure_carries_the_command_its_code_and_its_last_words() -> None:
    with pytest.raises(CommandFailed) as raised:
        process.run(["sh", "-c", "echo out; echo why >&2; exit 7"])
    assert raised.value.code == 7
    assert str(raised.value).endswith("exited with 7\nwhy")


def test_a_log_gets_both_streams_and_the_error_its_end(tmp_path: Path) -> None:
    log = tmp_path / "logs" / "x.log"
    with pytest.raises(CommandFailed, match="two"):
        process.run(["sh", "-c", "echo one; echo two >&2; exit 1"], log=log)
    assert log.read_text() == "one\ntwo\n"


def test_a_child_that_does_not_read_is_no_error_of_its_own() -> None:
    assert process.run(["true"], stdin=(b"x" * 65536 for _ in range(64))) == ""


def test_an_input_that_breaks_off_is_an_error_and_the_child_never_sees_its_end(tmp_path: Path) -> None:
    def torn() -> Iterator[bytes]:
        yield b"half"
        raise DevenvError("the source broke off")

    whole = tmp_path / "whole"
    with pytest.raises(DevenvError, match="the source broke off"):
        process.run(["sh", "-c", f"cat > {tmp_path / 'read'} && touch {whole}"], stdin=torn())
    assert not whole.exists()


@pytest.mark.parametrize("code", [0, 3])
def test_what_a_child_leaves_behind_ends_with_it(tmp_path: Path, code: int) -> None:
    pid_file = tmp_path / "pid"
    script = f"sleep 60 <&0 & echo $! > {pid_file}; exit {code}"  # it also holds the pipe of the input
    begin = time.monotonic()
    with pytest.raises(CommandFailed) if code else nullcontext():
        process.run(["sh", "-c", script], stdin=(b"x" * 65536 for _ in range(64)), within_s=20)
    assert time.monotonic() - begin < 10
    eventually(lambda: not alive(int(pid_file.read_text())), 10)


def test_a_grandchild_that_will_not_end_is_killed_after_its_parent(tmp_path: Path) -> None:
    pid_file = tmp_path / "pid"
    with pytest.raises(TimedOut):
        process.run(["sh", "-c", f"(trap '' TERM; while :; do sleep 1; done) & echo $! > {pid_file}; wait"], within_s=1)
    eventually(lambda: not alive(int(pid_file.read_text())), 10)


def test_a_child_past_its_time_is_ended_with_its_own_children(tmp_path: Path) -> None:
    pid_file = tmp_path / "pid"
    with pytest.raises(TimedOut):
        process.run(["sh", "-c", f"sleep 60 & echo $! > {pid_file}; wait"], within_s=2)
    eventually(lambda: not alive(int(pid_file.read_text())), 10)


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().split()[2] != "Z"
    except FileNotFoundError:
        return False


def test_a_program_that_is_not_there_says_how_to_get_it() -> None:
    with pytest.raises(DevenvError, match=r"scripts/setup\.sh"):
        process.find("no-such-program")


def in_another_process(code: str, home: Path) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [sys.executable, "-c", code],
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env={**os.environ, "XDG_STATE_HOME": str(home)},
    )  # fmt: skip


HOLD = """
import sys, time
from devenv.system import process, state
with state.locked(state.folder("x"), "up", lambda text: print(text, flush=True)):
    print("held", flush=True)
    {body}
"""


UNTIL = "while not __import__('pathlib').Path('{}').exists(): time.sleep(0.05)"


def line(child: "subprocess.Popen[str]") -> str:
    assert child.stdout
    return child.stdout.readline()


def test_two_commands_on_one_name_take_turns_and_the_second_says_for_whom_it_waits(tmp_path: Path) -> None:
    end = tmp_path / "end"
    first = in_another_process(HOLD.format(body=UNTIL.format(end)), tmp_path)
    assert line(first) == "held\n"
    second = in_another_process(HOLD.format(body="pass"), tmp_path)
    assert line(second) == f"waiting for `devenv up` (process {first.pid}) to end\n"
    end.touch()
    assert second.communicate(timeout=30)[0] == "held\n"
    assert first.wait(30) == 0


def test_a_killed_command_s_child_keeps_the_lock_until_it_ends(tmp_path: Path) -> None:
    begun, end = tmp_path / "begun", tmp_path / "end"
    child = f"touch {begun}; until [ -e {end} ]; do sleep 0.05; done"
    first = in_another_process(HOLD.format(body=f"process.run(['sh', '-c', '{child}'])"), tmp_path)
    assert line(first) == "held\n"
    eventually(begun.exists)
    first.kill()
    first.wait()
    second = in_another_process(HOLD.format(body="pass"), tmp_path)
    assert line(second).startswith("waiting for")
    end.touch()
    assert second.communicate(timeout=30)[0] == "held\n"


@pytest.mark.parametrize("path", [None, "", "/usr/bin:/bin"])
def test_a_program_of_the_working_folder_is_never_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, path: str | None
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "stranger").write_text("#!/bin/sh\n")
    (tmp_path / "stranger").chmod(0o755)
    monkeypatch.delenv("PATH") if path is None else monkeypatch.setenv("PATH", path)
    with pytest.raises(DevenvError, match="stranger: not found on PATH"):
        process.find("stranger")
    assert process.find("sh")


def test_what_others_may_write_into_is_no_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    (tmp_path / "devenv").mkdir()
    (tmp_path / "devenv").chmod(0o777)
    assert state.cache().stat().st_mode & 0o777 == 0o700


def test_a_file_is_written_whole_and_private(tmp_path: Path) -> None:
    target = tmp_path / "x"
    state.write(target, "one")
    state.write(target, "two")
    assert target.read_text() == "two"
    assert target.stat().st_mode & 0o777 == 0o600
    assert [p.name for p in tmp_path.iterdir()] == ["x"]


@pytest.mark.parametrize("umask", [0o000, 0o022, 0o077])
def test_runtime_files_are_private_whatever_comes_first_and_whatever_the_umask(tmp_path: Path, umask: int) -> None:
    before = os.umask(umask)
    try:
        log = state.Folder(tmp_path / "devenv/x").log("image-base")
    finally:
        os.umask(before)
    assert [path.stat().st_mode & 0o777 for path in (log.parent, log.parent.parent)] == [0o700, 0o700]


class Counter:
    """A real probe: done after so many looks."""

    def __init__(self, needed: int) -> None:
        self.looks, self.needed = 0, needed

    @property
    def done(self) -> bool:
        return self.looks >= self.needed

    def __call__(self) -> "Counter":
        self.looks += 1
        return self


def test_a_wait_ends_when_done_when_its_time_is_over_and_when_cancelled() -> None:
    assert poll(Counter(3), 30).done
    never = poll(Counter(10**9), 0.2)
    assert not never.done
    assert never.looks >= 2
    cancel = Cancel()
    cancel.request()
    assert poll(Counter(10**9), 30, cancel).looks == 1


def test_cancelling_ends_a_child_under_way_and_starts_no_other(tmp_path: Path) -> None:
    cancel, pid_file = Cancel(), tmp_path / "pid"
    script = f"echo $$ > {pid_file}.new; mv {pid_file}.new {pid_file}; sleep 60"
    ended: list[CommandFailed] = []

    def run() -> None:
        with pytest.raises(CommandFailed) as raised:
            process.run(["sh", "-c", script], cancel=cancel)
        ended.append(raised.value)

    worker = Thread(target=run)
    worker.start()
    eventually(pid_file.exists)
    cancel.request()
    worker.join(10)
    assert ended[0].code < 0
    assert not alive(int(pid_file.read_text()))
    with pytest.raises(DevenvError, match="cancelled"):
        process.run(["touch", str(tmp_path / "never")], cancel=cancel)
    assert not (tmp_path / "never").exists()
    assert process.run(["echo", "another command"], cancel=Cancel()) == "another command\n"
