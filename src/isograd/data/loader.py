"""Batches of a data set, in a reproducible order that can be resumed anywhere."""

from __future__ import annotations

import weakref
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, cast

import numpy as np

from isograd.core.errors import StateDictError
from isograd.core.pytree import tree_map
from isograd.data.dataset import Indices
from isograd.data.sampler import RandomSampler, Sampler, SequentialSampler
from isograd.data.workers import Job, Pool, Recipe, WorkerKind
from isograd.ops.random import Generator, integers
from isograd.runtime.tensor import Tensor

__all__ = ["DataLoader"]


class DataLoader:
    """Iterate over a data set in batches.

    The order is a function of ``seed`` and ``epoch`` alone: each iteration over the loader is one
    epoch, and adds one to ``epoch``. Set ``epoch`` to repeat or skip some. `state_dict` also has
    the position in the epoch; after `load_state_dict` the next iteration goes on from there.

    Parameters
    ----------
    dataset : Dataset
        Any object with ``__len__`` and ``__getitem__``; with a ``batch(indices)`` method, as
        `TensorDataset` has, each batch is fetched by one call.
    batch_size : int
        Samples in a batch; the last one is smaller where they do not divide.
    shuffle : bool
        Whether each epoch has its own random order.
    sampler : Sampler or iterable of int, optional
        Which samples an epoch visits, instead of ``shuffle``. An iterable is read anew each epoch,
        and must give the same for resuming to be exact.
    drop_last : bool
        Leave out a last batch that is not full.
    collate_fn : callable, optional
        Turns the list of a batch's samples into a batch; `default_collate` unless given.
    transform : callable, optional
        Called with each batch and a `Generator`; its result is the batch. What the generator gives
        depends on ``seed``, epoch and number of the batch alone, so augmentation can be resumed and
        does not depend on the workers.
    num_workers : int
        How many batches are made at the same time, ahead; 0 makes each when it is asked for.
    worker_kind : {"thread", "process"}
        Threads do for reading files and for NumPy's functions, which release the lock. Processes
        are spawned: the data set, ``collate_fn`` and ``transform`` must be picklable, and a script
        needs ``if __name__ == "__main__"``.
    prefetch_factor : int
        Batches waiting for each worker.
    pin_memory : callable, optional
        Called with each tensor's array before it goes to ``device``; for CUDA a function that
        copies it to page-locked memory, from where the transfer is faster.
    device : device, optional
        Where the tensors of a batch are moved.
    seed : int, optional
        Selects the sequence of orders; two loaders with one seed agree. Drawn at random unless
        given.
    generator : Generator, optional
        What the seed is drawn from; the global generator of `isograd.random` unless given.

    Raises
    ------
    ValueError
        If a number is out of range, or ``shuffle`` and ``sampler`` are both given.

    Examples
    --------
    >>> loader = DataLoader(range(5), batch_size=2)
    >>> [batch.tolist() for batch in loader]
    [[0, 1], [2, 3], [4]]
    >>> len(loader), loader.epoch
    (3, 1)
    """

    def __init__(
        self,
        dataset: Any,
        batch_size: int = 1,
        shuffle: bool = False,
        *,
        sampler: Sampler | Iterable[int] | None = None,
        drop_last: bool = False,
        collate_fn: Callable[[list[Any]], Any] | None = None,
        transform: Callable[[Any, Generator], Any] | None = None,
        num_workers: int = 0,
        worker_kind: WorkerKind = "thread",
        prefetch_factor: int = 2,
        pin_memory: Callable[[Any], Any] | None = None,
        device: Any = None,
        seed: int | None = None,
        generator: Generator | None = None,
    ) -> None:
        if batch_size < 1:
            raise ValueError(f"DataLoader: batch_size={batch_size} is not positive; use at least 1")
        if num_workers < 0 or prefetch_factor < 1:
            raise ValueError(
                f"DataLoader: num_workers={num_workers}, prefetch_factor={prefetch_factor}; use at "
                "least 0 workers and 1 batch each"
            )
        if worker_kind not in ("thread", "process"):
            raise ValueError(f"DataLoader: worker_kind={worker_kind!r}; use 'thread' or 'process'")
        if shuffle and sampler is not None:
            raise ValueError(
                "DataLoader: shuffle and a sampler; the sampler decides, leave one out"
            )
        if seed is None:
            seed = int(integers(0, 1 << 62, generator=generator).item())
        if seed < 0:
            raise ValueError(f"DataLoader: seed={seed} is negative; use a seed >= 0")
        self.dataset = dataset
        self.batch_size = batch_size
        self.shuffle = shuffle
        self.sampler = sampler
        self.drop_last = drop_last
        self.collate_fn = collate_fn
        self.transform = transform
        self.num_workers = num_workers
        self.worker_kind: WorkerKind = worker_kind
        self.prefetch_factor = prefetch_factor
        self.pin_memory = pin_memory
        self.device = device
        self.seed = seed
        self.epoch = 0
        # The epoch under way and how many of its batches were handed out; of the last iterator.
        self._running: list[int] | None = None
        # Where the next iteration begins, if in the middle of an epoch.
        self._resume = (0, 0)
        self._pool: Pool | None = None

    def __len__(self) -> int:
        count = self._count()
        return count // self.batch_size if self.drop_last else -(-count // self.batch_size)

    def _count(self) -> int:
        return len(cast("Any", self.dataset if self.sampler is None else self.sampler))

    def __iter__(self) -> Iterator[Any]:
        epoch = self.epoch
        first = self._resume[1] if self._resume[0] == epoch else 0
        self.epoch += 1
        self._resume = (0, 0)
        self._running = running = [epoch, first]
        return self._run(running)

    def _run(self, running: list[int]) -> Iterator[Any]:
        epoch, first = running
        order, size = self.order(epoch), self.batch_size
        jobs = (Job(epoch, i, order[i * size : (i + 1) * size]) for i in range(first, len(self)))
        try:
            if self.num_workers:
                made = self._workers().batches(jobs)
            else:
                made = map(self._recipe().make, jobs)
            for batch in made:
                running[1] += 1
                yield self._placed(batch)
        finally:
            if self._running is running:
                self._running = None

    def order(self, epoch: int, /) -> Indices:
        """Return the order in which an epoch visits the samples, as int64 ``(count,)``."""
        sampler: Any = self.sampler
        if sampler is None:
            sampler = (
                RandomSampler(self.dataset, seed=self.seed)
                if self.shuffle
                else SequentialSampler(self.dataset)
            )
        if hasattr(sampler, "order"):
            return sampler.order(epoch)
        return np.array(list(sampler), dtype=np.int64)

    # -- state -------------------------------------------------------------------------------------

    def state_dict(self) -> dict[str, int]:
        """Return seed, epoch, and how many batches of it were handed out.

        Call it between batches; a batch that was handed out counts as done with.
        """
        epoch, position = self._running or (
            self.epoch,
            self._resume[1] if self._resume[0] == self.epoch else 0,
        )
        return {"seed": self.seed, "epoch": epoch, "position": position}

    def load_state_dict(self, state: Mapping[str, int], /) -> None:
        """Let the next iteration go on where `state_dict` was called.

        Raises
        ------
        StateDictError
            If the state is not one of a loader with as many batches.
        """
        names = ("seed", "epoch", "position")
        if set(state) != set(names) or not all(type(state[name]) is int for name in names):
            raise StateDictError(
                f"load_state_dict: a DataLoader's state has the integers {list(names)}, this one "
                f"is {dict(state)}; pass what state_dict returned"
            )
        if not 0 <= state["position"] <= len(self):
            raise StateDictError(
                f"load_state_dict: position {state['position']} of {len(self)} batches; build the "
                "DataLoader with the data set and batch size that it was saved with"
            )
        if state["seed"] != self.seed:
            self.close()
        self.seed, self.epoch = state["seed"], state["epoch"]
        self._resume = (self.epoch, state["position"])
        self._running = None

    # -- making batches ----------------------------------------------------------------------------

    def _recipe(self) -> Recipe:
        return Recipe(self.dataset, self.collate_fn, self.transform, self.seed)

    def _workers(self) -> Pool:
        if self._pool is None:
            ahead = self.num_workers * self.prefetch_factor
            self._pool = Pool(self._recipe(), self.worker_kind, self.num_workers, ahead)
            self._end = weakref.finalize(self, self._pool.close)
        return self._pool

    def close(self) -> None:
        """End the workers; the next iteration starts others. Happens by itself in the end."""
        if self._pool is not None:
            self._end()
            self._pool = None

    def _placed(self, batch: Any) -> Any:
        pin, device = self.pin_memory, self.device
        if pin is None and device is None:
            return batch

        def placed(leaf: Any) -> Any:
            if not isinstance(leaf, Tensor):
                return leaf
            if pin is not None:
                leaf = Tensor(pin(leaf.array), leaf.aval, leaf.device)
            return leaf if device is None else leaf.to(device)

        return tree_map(placed, batch)
