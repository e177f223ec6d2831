"""Fetching batches ahead, in threads or in processes of their own."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from typing import Any, Literal, NamedTuple

from isograd.data.collate import fetch
from isograd.data.dataset import Indices
from isograd.ops.random import Generator
from isograd.runtime.registry import use_backend

__all__ = ["Job", "Pool", "Recipe", "WorkerKind"]

WorkerKind = Literal["thread", "process"]

# SplitMix64's increment keeps the streams of neighbouring epochs apart.
_STEP = 0x9E3779B97F4A7C15


class Job(NamedTuple):
    """One batch: its number in its epoch, and which samples it has."""

    epoch: int
    number: int
    indices: Indices


class Recipe(NamedTuple):
    """How a batch is made. Sent to worker processes once."""

    dataset: Any
    collate_fn: Callable[[list[Any]], Any] | None
    transform: Callable[[Any, Generator], Any] | None
    seed: int

    def make(self, job: Job) -> Any:
        """Return a batch; its random numbers depend on the seed, the epoch and its number alone."""
        try:
            if self.collate_fn is None:
                batch = fetch(self.dataset, job.indices)
            else:
                batch = self.collate_fn([self.dataset[i] for i in job.indices.tolist()])
            if self.transform is None:
                return batch
            generator = Generator(self.seed + _STEP * (job.epoch + 1), stream=job.number << 32)
            return self.transform(batch, generator)
        except Exception as error:
            error.add_note(f"DataLoader: in batch {job.number} of epoch {job.epoch}")
            raise


_recipe: Recipe | None = None


def _receive(recipe: Recipe) -> None:
    global _recipe  # noqa: PLW0603 - a worker process has one recipe, for its whole life
    _recipe = recipe


def _make_in_process(job: Job) -> Any:
    assert _recipe is not None
    return _make_in_thread(_recipe, job)


def _make_in_thread(recipe: Recipe, job: Job) -> Any:
    # NumPy's kernels share nothing between threads.
    with use_backend("numpy"):
        return recipe.make(job)


class Pool:
    """Workers that make batches, and hand them over in order.

    Parameters
    ----------
    recipe : Recipe
        How batches are made.
    kind : {"thread", "process"}
        Processes are spawned, not forked, and get the recipe pickled.
    workers : int
        How many.
    ahead : int
        How many batches are under way or waiting.
    """

    def __init__(self, recipe: Recipe, kind: WorkerKind, workers: int, ahead: int) -> None:
        from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor

        self._ahead = ahead
        self._recipe = recipe
        self._executor: ProcessPoolExecutor | ThreadPoolExecutor
        if kind == "thread":
            self._executor = ThreadPoolExecutor(workers, thread_name_prefix="isograd-data")
            self._arguments: tuple[Any, ...] = (_make_in_thread, recipe)
        else:
            from multiprocessing import get_context

            self._executor = ProcessPoolExecutor(
                workers, get_context("spawn"), initializer=_receive, initargs=(recipe,)
            )
            self._arguments = (_make_in_process,)

    def batches(self, jobs: Iterable[Job]) -> Iterator[Any]:
        """Yield the batches in the order of the jobs."""
        from concurrent.futures.process import BrokenProcessPool

        todo = iter(jobs)
        pending: deque[Any] = deque()
        try:
            while True:
                with suppress(StopIteration):
                    while len(pending) < self._ahead:
                        pending.append(self._executor.submit(*self._arguments, next(todo)))
                if not pending:
                    return
                yield pending.popleft().result()
        except BrokenProcessPool as error:
            raise RuntimeError(
                "DataLoader: a worker process died; run with num_workers=0 to see why, and keep "
                "the script's own calls under if __name__ == '__main__'"
            ) from error
        finally:
            for future in pending:
                future.cancel()

    def close(self) -> None:
        """End the workers."""
        self._executor.shutdown(wait=True, cancel_futures=True)
