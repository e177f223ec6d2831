"""The two sides at work: here, or each in a process of its own."""

from __future__ import annotations

import io
import itertools
import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from isograd.core.errors import IsogradError
from isograd.testing.differ.recording import packed, unpacked
from isograd.testing.differ.replay import Replay, Replayer
from isograd.testing.differ.run import Operation, Run, run_of, same_bits
from isograd.testing.differ.targets import Side, TargetError, parse_side
from isograd.testing.differ.training import Training, packed_inputs, read_inputs
from isograd.testing.differ.whole import compare_whole
from isograd.testing.isolated import RefusedError, Worker

__all__ = ["Local", "Remote", "serve", "worker_of"]

Array = Any
Fault = tuple[int, str]

SECONDS = 300.0
"""How long a process may take for an operation, or for the reference's step."""


class Local:
    """A side in this process.

    Parameters
    ----------
    side
        Who computes.
    """

    def __init__(self, side: Side) -> None:
        self.side = side
        self.replay: Callable[[Operation], Replay] = Replayer(side)

    def __enter__(self) -> Local:
        return self

    def __exit__(self, *_: object) -> None:
        """Nothing is held."""

    def facts(self) -> Mapping[str, str]:
        """Return the backend's name and version."""
        backend = self.side.backend
        return {"backend": backend.name, "backend version": backend.version}

    def record(self, build: Any, inputs: Sequence[Any], seed: int) -> tuple[Run, Fault]:
        """Run a step twice, so that what changes between runs is not blamed on the candidate.

        Returns
        -------
        run : Run
            The first run.
        fault : tuple
            The number of the first operation that misbehaved, and what is wrong; or -1.
        """
        side = self.side

        def once() -> tuple[Run, Fault]:
            return run_of(side, Training(build, inputs, side.dtype, seed, side.backend))

        run, fault = once()
        if not run.operations:
            raise TargetError("diff: the step ran no operation of isograd; use isograd's functions")
        if fault[1]:
            return run, fault
        pairs = itertools.zip_longest(run.operations, once()[0].operations)
        for number, (a, b) in enumerate(pairs):
            there = a or b
            assert there is not None
            same = a is not None and b is not None and a.signature() == b.signature()
            if not (same and a is not None and b is not None and same_bits(a.inputs, b.inputs)):
                raise TargetError(
                    f"diff: two runs of the model on the same inputs part at operation {number} "
                    f"({there.op}, {there.where}); draw random numbers from isograd.random, which "
                    "is seeded"
                )
            if not same_bits(a.outputs, b.outputs):
                return run, (number, "two calls with the same inputs differ")
        return run, fault

    def whole(self, build: Any, inputs: Sequence[Any], seed: int) -> tuple[str, ...]:
        """Return what of a whole compiled step is wrong."""
        try:
            return compare_whole(self.side, build, inputs, seed)
        except IsogradError as error:  # it cannot be compiled
            return (str(error),)


class Remote:
    """A side in a process of its own, which may crash or hang, or be of another environment.

    Parameters
    ----------
    side
        Who computes there.
    seconds
        How long one request may take.
    """

    def __init__(self, side: Side, seconds: float = SECONDS) -> None:
        if side.given is not None:
            raise TargetError(
                f"diff: the backend {side.text!r} is an object, which cannot be sent to another "
                "process; name its factory, as pkg.mod:factory"
            )
        self.side = side
        self._worker = Worker(f"{__name__}:serve", side.text, seconds=seconds, python=side.python)

    def __enter__(self) -> Remote:
        return self

    def __exit__(self, *_: object) -> None:
        self._worker.close()

    def facts(self) -> Mapping[str, str]:
        """Return the backend's name and version."""
        return json.loads(self._ask(b"facts", {}, b"")[0])

    def replay(self, operation: Operation) -> Replay:
        """Run an operation; the end of the process is what the side made of it."""
        body = packed(Run("", (operation,), {}))
        try:
            answer = self._worker.ask(_message(b"replay", {}, body))
        except RefusedError as error:
            raise TargetError(str(error)) from error
        except IsogradError as error:
            return Replay((), str(error), ended=True)
        run = unpacked(answer)
        return Replay(run.operations[0].outputs, run.facts["error"])

    def record(self, build: str, inputs: Sequence[Any], seed: int) -> tuple[Run, Fault]:
        """Do as `Local.record` there."""
        head, body = self._ask(b"record", {"build": build, "seed": seed}, packed_inputs(inputs))
        number, text = json.loads(head)
        return unpacked(body), (number, text)

    def whole(self, build: str, inputs: Sequence[Any], seed: int) -> tuple[str, ...]:
        """Do as `Local.whole` there."""
        content = {"build": build, "seed": seed}
        try:
            return tuple(json.loads(self._ask(b"whole", content, packed_inputs(inputs))[0]))
        except TargetError as error:
            return (str(error),)

    def _ask(self, verb: bytes, content: Mapping[str, Any], body: bytes) -> tuple[bytes, bytes]:
        try:
            answer = self._worker.ask(_message(verb, content, body))
        except RefusedError as error:
            raise TargetError(str(error)) from error
        except IsogradError as error:
            what = "the backend could not be made" if verb == b"facts" else "its step failed"
            raise TargetError(f"diff: {self.side.text}: {what}: {error}") from error
        head, _, rest = answer.partition(b"\n")
        return head, rest


def worker_of(side: Side, seconds: float, *, isolated: bool) -> Local | Remote:
    """Return who does the work of a side."""
    return Remote(side, seconds) if isolated or side.python else Local(side)


def _message(verb: bytes, content: Mapping[str, Any], body: bytes) -> bytes:
    return b"\n".join([verb, json.dumps(content).encode(), body])


def serve(text: str) -> Callable[[bytes], bytes]:
    """Return what answers a `Remote`, in a process of its own."""
    side = parse_side(text.partition("+python=")[0])
    local = Local(side)
    side.backend  # noqa: B018 - it is made now, so that a factory that fails is told of first

    def answer(request: bytes) -> bytes:
        verb, head, body = request.split(b"\n", 2)
        if verb == b"facts":
            return json.dumps(dict(local.facts())).encode()
        if verb == b"replay":
            operation = unpacked(body).operations[0]
            replay = local.replay(operation)
            done = Operation(operation.op, operation.static, (), replay.outputs)
            return packed(Run("", (done,), {"error": replay.error}))
        content = json.loads(head)
        given = content["build"], read_inputs(io.BytesIO(body)), content["seed"]
        if verb == b"whole":
            return json.dumps(local.whole(*given)).encode()
        run, fault = local.record(*given)
        return json.dumps(fault).encode() + b"\n" + packed(run)

    return answer
