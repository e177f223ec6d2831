"""Processes of their own: crashes, hangs and errors are answers."""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from isograd.core.errors import IsogradError
from isograd.testing import run_checks
from isograd.testing.isolated import EndedError, RefusedError, Worker, spread

SERVANT = """
import ctypes, os, sys, time

def serve(*texts):
    print("to standard error")
    os.write(1, b"from C\\n")
    def answer(request):
        what = request.decode()
        if what == "crash":
            ctypes.string_at(0)
        if what == "abort":
            os.abort()
        if what == "exit":
            print("no licence", file=sys.stderr)
            os._exit(3)
        if what == "leave":
            os._exit(0)
        if what == "hang":
            time.sleep(60)
        if what == "raise":
            raise ValueError("no such thing")
        if what == "keep":
            serve.kept = b"." * 100_000_000
        return f"{os.getpid()} {'+'.join(texts)} {what}".encode()
    return answer

def never():
    raise RuntimeError("no device")
"""


@pytest.fixture
def worker(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Worker]:
    (tmp_path / "isolated_servant.py").write_text(SERVANT)
    monkeypatch.syspath_prepend(tmp_path)
    with Worker("isolated_servant:serve", "a", "b", seconds=60) as made:
        yield made


@pytest.mark.skipif(os.name != "posix", reason="the process is told by a signal of POSIX")
def test_a_worker_does_not_see_ctrl_c(worker: Worker) -> None:
    pid = worker.ask(b"1").split()[0]
    os.kill(int(pid), signal.SIGINT)
    assert worker.ask(b"2").split()[0] == pid


@pytest.mark.skipif(
    not os.path.exists("/proc/self/statm"), reason="Linux tells the memory of others"
)
def test_a_worker_that_keeps_too_much_is_replaced(worker: Worker) -> None:
    with Worker("isolated_servant:serve", seconds=60, memory=80_000_000) as limited:
        pids = [limited.ask(what).split()[0] for what in (b"1", b"2", b"keep", b"3", b"4")]
    assert pids[0] == pids[1] == pids[2] != pids[3] == pids[4]


def test_a_worker_that_is_stopped_does_not_start_again(worker: Worker) -> None:
    assert worker.ask(b"1")
    worker.stop()
    for _ in range(2):
        with pytest.raises(EndedError, match="SIGKILL"):
            worker.ask(b"2")


def test_a_worker_answers_and_keeps_its_process(worker: Worker) -> None:
    first, again = worker.ask(b"1"), worker.ask(b"2")
    pid, texts, what = first.decode().split()
    assert (texts, what) == ("a+b", "1")
    assert again.decode().split() == [pid, "a+b", "2"]
    with pytest.raises(RefusedError, match="ValueError: no such thing"):
        worker.ask(b"raise")
    assert worker.ask(b"3").decode().split()[0] == pid


@pytest.mark.skipif(sys.platform == "win32", reason="signals have names on POSIX")
def test_a_process_that_ends_says_how_and_another_is_started(worker: Worker) -> None:
    with pytest.raises(EndedError, match=r"ended by SIGSEGV at .*isolated_servant"):
        worker.ask(b"crash")
    with pytest.raises(EndedError, match=r"ended by SIGABRT at .*isolated_servant.py:12"):
        worker.ask(b"abort")
    with pytest.raises(EndedError, match="exited with 3: no licence"):
        worker.ask(b"exit")
    with pytest.raises(EndedError) as ended:
        worker.ask(b"leave")
    assert "Warning" not in str(ended.value)
    assert worker.ask(b"on").endswith(b"on")


def test_a_process_that_hangs_is_ended(worker: Worker) -> None:
    worker.ask(b"started")
    worker._seconds = 0.3
    started = time.perf_counter()
    with pytest.raises(EndedError, match=r"more than 0.3 s"):
        worker.ask(b"hang")
    assert time.perf_counter() - started < 30
    worker._seconds = 60
    assert worker.ask(b"on").endswith(b"on")


def test_what_cannot_start_says_why(worker: Worker) -> None:
    with (
        Worker("isolated_servant:never", seconds=60) as refused,
        pytest.raises(RefusedError, match="RuntimeError: no device"),
    ):
        refused.ask(b"1")
    with (
        Worker("isolated_servant:serve", seconds=60, python="/no/such/python") as missing,
        pytest.raises(RefusedError, match="No such file"),
    ):
        missing.ask(b"1")


def test_work_is_spread_and_nothing_is_lost(worker: Worker) -> None:
    def start() -> Worker:
        return Worker("isolated_servant:serve", seconds=60)

    chunks = [[b"1", b"exit", b"2"], [b"3"], [b"raise", b"4"]]
    found = {(i, j): answer for i, j, answer in spread(chunks, start, 2)}
    assert set(found) == {(0, 0), (0, 1), (0, 2), (1, 0), (2, 0), (2, 1)}
    failed = {place for place, answer in found.items() if isinstance(answer, IsogradError)}
    assert failed == {(0, 1), (2, 0)}
    # Requests of a chunk go to one process, which is another one after its end.
    pids = [bytes(found[0, j]).split()[0] for j in (0, 2)]
    assert pids[0] != pids[1]


def test_checks_in_processes_find_what_checks_here_do() -> None:
    chosen = {"ops": ["add", "flip"], "backends": ["numpy"], "checks": ["forward", "compiled"]}
    here, there = run_checks(**chosen), run_checks(**chosen, jobs=2)
    assert here.cells == there.cells
    assert json.loads(there.to_json())["ok"] is True
