"""Showing that a training resumes exactly, by killing its process."""

from __future__ import annotations

import inspect
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple, cast

import numpy as np

from isograd.io import load_tree, save_tree
from isograd.runtime.tensor import Tensor

__all__ = ["ResumeReport", "assert_resume_exact"]


class ResumeReport(NamedTuple):
    """What `assert_resume_exact` did.

    Attributes
    ----------
    kills : tuple of str
        Where a process was killed: ``"save 2"`` is in the middle of writing the second file,
        ``"batch 9"`` before the ninth batch is used, both counted from that process' start.
    batches : tuple of int
        How many batches each process took from loaders; the first was not killed.
    """

    kills: tuple[str, ...]
    batches: tuple[int, ...]


def assert_resume_exact(
    train: Callable[..., Any],
    /,
    *args: Any,
    folder: str | os.PathLike[str] | None = None,
    timeout: float = 300.0,
) -> ResumeReport:
    """Check that a training that is killed again and again ends as one that is left alone.

    ``train`` runs in processes of its own: once from start to end, then in another folder, where it
    is killed in the middle of its saves and between two batches, and started again each time.

    Parameters
    ----------
    train : callable
        ``train(folder, *args)``, a function at the top of a module. It goes on from the checkpoint
        in the folder, if there is one, saves checkpoints there, and returns what must be equal:
        a tree of tensors, arrays, numbers and texts, as a state dict and the losses.
    *args
        Further arguments: trees as above.
    folder : str or path, optional
        Where the two folders are made; a temporary one unless given.
    timeout : float
        Seconds that each process may take.

    Returns
    -------
    ResumeReport
        How often and where it was killed.

    Raises
    ------
    AssertionError
        If a result differs in a bit (the first one is named), no checkpoint was written, or a
        process began anew instead of going on.
    RuntimeError
        If a process fails by itself; with what it printed.
    TypeError
        If ``train`` is not at the top of a module.

    Examples
    --------
    >>> from my_project import train  # doctest: +SKIP
    >>> assert_resume_exact(train)  # doctest: +SKIP
    ResumeReport(kills=('save 3', 'batch 10', 'save 1'), batches=(40, 15, 10, 6, 18))
    """
    source = inspect.getsourcefile(train)
    if source is None or "<locals>" in train.__qualname__:
        raise TypeError(
            f"assert_resume_exact: {train.__qualname__} is made inside a function, and another "
            "process cannot find it; define it at the top of a module"
        )
    with tempfile.TemporaryDirectory() as scratch:
        root = Path(scratch if folder is None else folder)
        call = _Call(Path(source), train.__qualname__, root / "arguments.npz", timeout)
        save_tree(args, call.arguments)
        alone = call.run(root / "alone", "")
        assert alone is not None
        counts: Mapping[str, int] = alone["counts"]
        if not counts["save"]:
            raise AssertionError(
                "assert_resume_exact: no file was moved to its name in the folder; save "
                "checkpoints there, for example with isograd.io.Checkpoints"
            )
        points = [
            f"save {counts['save'] // 3 + 1}",
            f"batch {counts['batch'] // 4 + 1}" if counts["batch"] else "save 2",
            "save 1",
            "",
        ]
        kills: list[str] = []
        batches = [counts["batch"]]
        done: Any = None
        for point in points:
            done = call.run(root / "killed", point)
            if done is not None:
                break
            kills.append(point)
            batches.append(int(point.split()[1]) - 1 if point.startswith("batch") else -1)
    assert done is not None
    again = done["counts"]["batch"]
    batches = [count for count in batches if count >= 0] + [again]
    if not kills:
        raise AssertionError(
            "assert_resume_exact: the second run went otherwise than the first, and could not be "
            "killed; make it depend on its folder and arguments alone"
        )
    if counts["batch"] and again >= counts["batch"]:
        raise AssertionError(
            f"assert_resume_exact: after {kills[-1]} the training took {again} batches again, all "
            "of them, so it began anew; load the checkpoint, with the DataLoader's state"
        )
    _compare(alone["result"], done["result"], kills)
    return ResumeReport(tuple(kills), tuple(batches))


class _Call(NamedTuple):
    source: Path
    name: str
    arguments: Path
    timeout: float

    def run(self, folder: Path, kill: str) -> Any:
        """Run the training in a process; return its result, or None if it was killed."""
        folder.mkdir(parents=True, exist_ok=True)
        result = folder.with_suffix(".result.npz")
        result.unlink(missing_ok=True)
        command = [sys.executable, "-m", "isograd.testing.resume_child"]
        command += [
            str(self.source),
            self.name,
            str(folder),
            str(self.arguments),
            str(result),
            kill,
        ]
        paths = os.pathsep.join(str(Path(path).absolute()) for path in sys.path)
        done = subprocess.run(
            command,
            capture_output=True,
            text=True,
            timeout=self.timeout,
            check=False,
            env={**os.environ, "PYTHONPATH": paths},
        )
        if done.returncode == 0:
            return load_tree(result)
        if kill and done.returncode in (-9, 9):
            return None
        raise RuntimeError(
            f"assert_resume_exact: {self.name} ended with {done.returncode}; run it by itself\n"
            f"{done.stdout[-2000:]}{done.stderr[-4000:]}"
        )


def _compare(alone: Any, resumed: Any, kills: list[str]) -> None:
    first, second = dict(_leaves(alone, "result")), dict(_leaves(resumed, "result"))
    names = [*first, *[name for name in second if name not in first]]
    for name in names:
        if name not in first or name not in second or not _same(first[name], second[name]):
            raise AssertionError(
                f"assert_resume_exact: {name} is {_text(first.get(name, 'missing'))} in the run "
                f"that was left alone, and {_text(second.get(name, 'missing'))} after kills at "
                f"{', '.join(kills)}; save what it depends on"
            )


def _leaves(tree: Any, name: str) -> Iterator[tuple[str, Any]]:
    if isinstance(tree, Mapping):
        for key, value in cast("Mapping[Any, Any]", tree).items():
            yield from _leaves(value, f"{name}[{key!r}]")
    elif isinstance(tree, list | tuple):
        for i, value in enumerate(cast("list[Any]", tree)):
            yield from _leaves(value, f"{name}[{i}]")
    else:
        yield name, tree


def _same(first: Any, second: Any) -> bool:
    a, b = (x.numpy() if isinstance(x, Tensor) else np.asarray(x) for x in (first, second))
    return a.dtype == b.dtype and a.shape == b.shape and a.tobytes() == b.tobytes()


def _text(value: Any) -> str:
    text = repr(value).replace("\n", " ")
    return text if len(text) < 100 else f"{text[:97]}..."
