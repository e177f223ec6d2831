"""Work in processes of their own: where a backend crashes or hangs, that is an answer like others.

A worker runs `main` with ``MODULE:FUNCTION [TEXT ...]``. The function is called with the texts and
returns what answers requests. Both are bytes, and nothing in them is run.
"""

from __future__ import annotations

import contextlib
import importlib
import os
import queue
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Generator, Sequence
from typing import IO, Any

from isograd.core.errors import IsogradError
from isograd.testing.raised import NOT_THEIRS, told

__all__ = ["EndedError", "RefusedError", "Worker", "main", "spread"]

_KEPT_LINES = 400
_PROGRAM = "import sys; from isograd.testing.isolated import main; main(sys.argv[1:])"


class EndedError(IsogradError, RuntimeError):
    """A process ended before it answered.

    Mistake: a kernel that writes outside its arrays.
    Fix: correct the kernel; the message names the signal, and the line that ran.
    """


class RefusedError(IsogradError, RuntimeError):
    """What a worker was asked for raised an error.

    Mistake: a factory that raises.
    Fix: correct it; the message is that of the error.
    """


class Worker:
    """One process, which answers requests in order, and is started again where it has ended.

    Parameters
    ----------
    function, *texts
        What the process calls first, as ``module:function``, and with what.
    seconds
        How long it may take for an answer.
    python
        The interpreter; this one when empty. Another one needs isograd installed.
    memory
        A process that keeps more bytes than this, and more than twice what its first answer took,
        is replaced before the next request, where the system tells (Linux does). None: never.
    """

    def __init__(
        self,
        function: str,
        *texts: str,
        seconds: float,
        python: str = "",
        memory: int | None = None,
    ) -> None:
        self._command = ["-X", "faulthandler", "-c", _PROGRAM, function, *texts]
        self._python = python
        self._seconds = seconds
        self._process: subprocess.Popen[bytes] | None = None
        self._errors: list[str] = []
        self._reader: threading.Thread | None = None
        self._late = self._stopped = False
        self._memory = memory
        self._allowed = 0

    def ask(self, request: bytes, /) -> bytes:
        """Return the answer to a request.

        Raises
        ------
        EndedError
            If the process crashed, exited, or took too long.
        RefusedError
            If it answered with an error.
        """
        if self._allowed and self._resident() > self._allowed:
            self.close()
        if self._process is None:
            self._start()
        assert self._process is not None
        timer = threading.Timer(self._seconds, self._end_late)
        timer.start()
        try:
            with contextlib.suppress(OSError):  # the process may be gone; then nothing is read
                _send(self._process.stdin, request)
            answer = _receive(self._process.stdout)
        finally:
            timer.cancel()
        if answer is None:
            how = self._epitaph()
            self.close()
            raise EndedError(how)
        if self._memory is not None and not self._allowed:
            self._allowed = max(self._memory, 2 * self._resident())
        if answer[:1] == b"!":
            raise RefusedError(answer[1:].decode())
        return answer[1:]

    def stop(self) -> None:
        """End the process for good, from another thread: `ask` raises `EndedError`."""
        self._stopped = True
        process = self._process
        if process is not None:
            process.kill()

    def close(self) -> None:
        """End the process."""
        process, self._process = self._process, None
        self._allowed = 0
        if process is None:
            return
        process.kill()
        process.wait()
        if self._reader is not None:
            self._reader.join()
        for stream in (process.stdin, process.stdout, process.stderr):
            if stream is not None:
                with contextlib.suppress(OSError):
                    stream.close()

    def __enter__(self) -> Worker:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _start(self) -> None:
        environment = dict(os.environ)
        if not self._python:
            # What can be imported here can be imported there.
            path = [os.getcwd(), *filter(None, sys.path)]
            environment["PYTHONPATH"] = os.pathsep.join(dict.fromkeys(path))
        self._late, self._errors = False, []
        try:
            with _interrupts_held():
                self._process = subprocess.Popen(
                    [self._python or sys.executable, *self._command],
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    stderr=subprocess.PIPE,
                    env=environment,
                )
        except OSError as error:
            raise RefusedError(f"cannot run {self._python!r}: {error.strerror}") from error
        if self._stopped:
            self._process.kill()
        self._reader = threading.Thread(target=self._read, args=(self._process,), daemon=True)
        self._reader.start()

    def _read(self, process: subprocess.Popen[bytes]) -> None:
        assert process.stderr is not None
        for line in process.stderr:
            self._errors.append(line.decode(errors="replace").rstrip())
            del self._errors[:-_KEPT_LINES]

    def _resident(self) -> int:
        """Return how many bytes the process keeps in memory; 0 where the system does not tell."""
        assert self._process is not None
        try:
            with open(f"/proc/{self._process.pid}/statm", encoding="ascii") as file:
                return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")
        except (OSError, IndexError):
            return 0

    def _end_late(self) -> None:
        self._late = True
        if self._process is not None:
            self._process.kill()

    def _epitaph(self) -> str:
        """Say how the process ended."""
        assert self._process is not None
        assert self._reader is not None
        if self._late:
            return f"the process took more than {self._seconds:g} s and was ended"
        code = self._process.wait()
        self._reader.join()
        if code >= 0:
            last = next((line for line in reversed(self._errors) if line.strip()), "")
            return f"the process exited with {code}{': ' + last if last else ''}"
        name = signal.Signals(-code).name
        line = _last_line(self._errors)
        return f"the process was ended by {name}{' at ' + line if line else ''}"


@contextlib.contextmanager
def _interrupts_held() -> Generator[None]:
    """Let processes that start inside never see Ctrl-C, which goes to all of a terminal's."""
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _last_line(errors: Sequence[str]) -> str:
    """Return the innermost line outside isograd and Python that faulthandler printed."""
    begin = next((i for i, line in enumerate(errors) if line.startswith("Current thread")), None)
    for line in errors[len(errors) if begin is None else begin :]:
        parts = line.strip().split('"')
        if len(parts) == 3 and parts[0] == "File " and not parts[1].startswith(NOT_THEIRS):
            return f"{parts[1]}:{parts[2].split(' ')[2]}"
    return ""


def spread(
    chunks: Sequence[Sequence[bytes]], start: Callable[[], Worker], jobs: int
) -> Generator[tuple[int, int, bytes | IsogradError]]:
    """Have requests answered by several processes; yield answers as they come.

    Parameters
    ----------
    chunks
        Requests; those of a chunk go to one process, in order.
    start
        Makes a worker.
    jobs
        The number of processes.

    Yields
    ------
    chunk, request : int
        Which one was answered.
    answer : bytes or IsogradError
        The answer, or how it failed.
    """
    todo: queue.SimpleQueue[tuple[int, Sequence[bytes]]] = queue.SimpleQueue()
    answers: queue.SimpleQueue[tuple[int, int, bytes | IsogradError]] = queue.SimpleQueue()
    stopped = threading.Event()
    workers: list[Worker] = []
    for item in enumerate(chunks):
        todo.put(item)

    def work() -> None:
        with start() as worker:
            workers.append(worker)
            while not stopped.is_set():
                try:
                    number, requests = todo.get_nowait()
                except queue.Empty:
                    return
                for i, request in enumerate(requests):
                    answer: bytes | IsogradError
                    try:
                        answer = worker.ask(request)
                    except IsogradError as error:
                        answer = error
                    answers.put((number, i, answer))
                    if stopped.is_set():
                        return

    threads = [threading.Thread(target=work, daemon=True) for _ in range(min(jobs, len(chunks)))]
    for thread in threads:
        thread.start()
    try:
        for _ in range(sum(map(len, chunks))):
            yield answers.get()
    finally:
        stopped.set()
        for worker in tuple(workers):
            worker.stop()
        for thread in threads:
            thread.join()


# -- both ends -------------------------------------------------------------------------------------


def _send(stream: IO[bytes] | None, message: bytes) -> None:
    assert stream is not None
    stream.write(len(message).to_bytes(8, "little"))
    stream.write(message)
    stream.flush()


def _receive(stream: IO[bytes] | None) -> bytes | None:
    """Return the next message, or None where the other end is gone."""
    assert stream is not None
    head = stream.read(8)
    if len(head) < 8:
        return None
    length = int.from_bytes(head, "little")
    body = stream.read(length)
    return body if len(body) == length else None


def main(arguments: Sequence[str]) -> None:
    """Answer requests until there are no more."""
    function, *texts = arguments
    module, _, name = function.partition(":")
    answers = os.fdopen(os.dup(1), "wb")
    # What anyone else prints, also from C, goes to standard error.
    os.dup2(2, 1)
    sys.stdout = sys.stderr
    answer: Any = None
    while (request := _receive(sys.stdin.buffer)) is not None:
        try:
            if answer is None:
                answer = getattr(importlib.import_module(module), name)(*texts)
            made = b"=" + answer(request)
        except Exception as error:
            said = str(error) if isinstance(error, IsogradError) else ""
            made = b"!" + (said or told(error)).encode()
        _send(answers, made)
