"""A command in the foreground: signals are its own, and never keep us from what comes after it."""

import fcntl
import os
import pty
import signal
import subprocess
import sys
import termios
import time
from pathlib import Path
from typing import Any

import pytest

from devenv.errors import CannotRun
from devenv.system import foreground
from tests.waiting import eventually

# What runs a command as devenv does: it takes a second for what comes after, and says that it has done it.
RUNS = """
import os, pathlib, sys, time
from devenv.system import foreground
code = None
with foreground.guarded() as command:
    try:
        code = command.run(sys.argv[2:], os.environ)
    finally:
        command.deafen()
        pathlib.Path(sys.argv[1]).touch()
        time.sleep(1)
        pathlib.Path(sys.argv[1]).write_text("done")
sys.exit(code)
"""
# Counts the interrupts of a second, from the first one on.
COUNTS = """
import pathlib, signal, sys, time
seen, said = [], pathlib.Path(sys.argv[1])
signal.signal(signal.SIGINT, lambda *_: seen.append(1))
said.touch()
while not seen:
    time.sleep(0.02)
time.sleep(1)
said.write_text(str(len(seen)))
"""
IGNORES = """
import pathlib, signal, sys, time
signal.signal(signal.SIGINT, signal.SIG_IGN)
pathlib.Path(sys.argv[1]).touch()
time.sleep(600)
"""


def begun(after: Path, code: str, said: Path, **more: Any) -> "subprocess.Popen[bytes]":
    """Return what runs a command, once that has said that it runs."""
    argv = [sys.executable, "-c", RUNS, str(after), sys.executable, "-c", code, str(said)]
    hear: Any = lambda: signal.signal(signal.SIGINT, signal.SIG_DFL)  # noqa: E731  as a shell in the foreground
    child = subprocess.Popen(argv, **{"stdin": subprocess.DEVNULL, "preexec_fn": hear, **more})
    eventually(said.exists, 30, "the command runs")
    return child


def test_ctrl_c_of_the_terminal_reaches_the_command_once(tmp_path: Path) -> None:
    ours, theirs = pty.openpty()

    def in_terminal() -> None:
        os.setsid()
        fcntl.ioctl(theirs, termios.TIOCSCTTY, 0)

    streams = {"stdin": theirs, "stdout": theirs, "stderr": theirs}
    child = begun(tmp_path / "after", COUNTS, tmp_path / "said", preexec_fn=in_terminal, **streams)
    os.write(ours, b"\x03")
    assert child.wait(30) == 0
    assert (tmp_path / "said").read_text() == "1"
    assert (tmp_path / "after").read_text() == "done"
    os.close(ours)
    os.close(theirs)


def test_an_interrupt_that_is_ours_alone_is_passed_on_once(tmp_path: Path) -> None:
    child = begun(tmp_path / "after", COUNTS, tmp_path / "said")
    child.send_signal(signal.SIGINT)
    assert child.wait(30) == 0
    assert (tmp_path / "said").read_text() == "1"


def test_a_command_that_ignores_interrupts_is_ended_by_the_third_in_a_row(tmp_path: Path) -> None:
    child = begun(tmp_path / "after", IGNORES, tmp_path / "said")
    for _ in range(foreground.INSISTING - 1):
        child.send_signal(signal.SIGINT)
        time.sleep(0.1)
    assert child.poll() is None
    child.send_signal(signal.SIGINT)
    assert child.wait(30) == 128 + signal.SIGTERM


@pytest.mark.parametrize("number", foreground.HEARD)
def test_what_comes_after_the_command_is_not_interrupted(tmp_path: Path, number: int) -> None:
    child = begun(tmp_path / "after", IGNORES, tmp_path / "said")
    child.send_signal(signal.SIGTERM)
    eventually((tmp_path / "after").exists, 30, "the command has ended")
    child.send_signal(number)
    assert child.wait(30) == 128 + signal.SIGTERM
    assert (tmp_path / "after").read_text() == "done"


def test_signals_are_as_before_once_all_is_over_and_an_interrupt_before_the_command_is_one() -> None:
    before = [signal.getsignal(number) for number in foreground.HEARD]
    with foreground.guarded() as command:
        with pytest.raises(KeyboardInterrupt):
            command.hear(signal.SIGINT)
        command.hear(signal.SIGINT)  # what the first one leads to goes on
    with foreground.guarded() as command:
        command.deafen()  # no command has run, and something else has failed
        command.hear(signal.SIGINT)
    assert [signal.getsignal(number) for number in foreground.HEARD] == before


def test_a_command_has_the_exit_code_of_a_shell_and_one_that_cannot_be_run_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with foreground.guarded() as command:
        assert command.run(["sh", "-c", "exit 5"], os.environ) == 5
    with foreground.guarded() as command:
        assert command.run(["sh", "-c", "kill -9 $$"], os.environ) == 137
    monkeypatch.setenv("PATH", "")  # without setpriv, which would tell it itself
    with foreground.guarded() as command, pytest.raises(CannotRun, match="none: cannot be run: No such file"):
        command.run([str(tmp_path / "none")], os.environ)


OTHER_THREAD = """
import signal, sys, threading, time
from devenv.system.foreground import guarded
def hears() -> None:
    time.sleep(0.5)
    signal.pthread_kill(threading.get_ident(), signal.SIGTERM)  # as the kernel may choose
    time.sleep(60)
with guarded() as command:
    threading.Thread(target=hears, daemon=True).start()
    code = command.run(["sleep", "60"], {})
    print(code, flush=True)
"""


def test_a_signal_that_another_thread_was_given_ends_the_command_too() -> None:
    done = subprocess.run([sys.executable, "-c", OTHER_THREAD], capture_output=True, text=True, check=False, timeout=30)
    assert done.stdout == f"{128 + signal.SIGTERM}\n", done.stderr
