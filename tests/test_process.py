"""Children and locks, over real processes."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from devenv import process, state
from devenv.errors import CommandFailed, DevenvError, TimedOut
from devenv.wait import settle
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
from devenv import process, state
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


def test_a_file_is_written_whole_and_private(tmp_path: Path) -> None:
    target = tmp_path / "x"
    state.write(target, "one")
    state.write(target, "two")
    assert target.read_text() == "two"
    assert target.stat().st_mode & 0o777 == 0o600
    assert [p.name for p in tmp_path.iterdir()] == ["x"]


class Counter:
    """A real probe: settled after so many looks."""

    def __init__(self, needed: int) -> None:
        self.looks, self.needed = 0, needed

    @property
    def settled(self) -> bool:
        return self.looks >= self.needed

    def __call__(self) -> "Counter":
        self.looks += 1
        return self


def test_a_wait_ends_when_settled_when_its_time_is_over_and_when_called_off() -> None:
    from threading import Event

    assert settle(Counter(3), 30, Event()).settled
    never = settle(Counter(10**9), 0.2, Event())
    assert not never.settled
    assert never.looks >= 2
    stop = Event()
    stop.set()
    assert settle(Counter(10**9), 30, stop).looks == 1
