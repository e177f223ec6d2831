"""What a step must compute: the workload's formula in float64, differentiated by HIPS autograd.

Neither isograd nor the peers that are timed have a part in it.
"""

from __future__ import annotations

import hashlib
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import rules
from contenders import Contender, imported
from workloads import WORKLOADS

#: How many steps are compared before anything is timed.
STEPS = 4

#: Allowed relative difference of a loss, and of all weights' total change in the 2-norm.
LOSS_TOLERANCE = 2e-4
CHANGE_TOLERANCE = 2e-2


class WrongResultError(Exception):
    """A contender that computes something else."""


class Reference(NamedTuple):
    """The first losses, and how all weights have changed after them."""

    losses: np.ndarray[Any, Any]
    changes: dict[str, np.ndarray[Any, Any]]


def reference(workload: str, optimizer: str, folder: Path) -> Reference:
    """Return the reference, computed once and kept in ``folder`` while the sources are the same."""
    file = folder / f"{workload}-{optimizer}-{_digest()}.npz"
    if not file.exists():
        made = _computed(workload, optimizer)
        folder.mkdir(parents=True, exist_ok=True)
        partial_file = file.with_suffix(".part.npz")
        np.savez(partial_file, losses=made.losses, **made.changes)
        partial_file.replace(file)
    with np.load(file) as stored:
        changes = {name: stored[name] for name in stored.files if name != "losses"}
        return Reference(stored["losses"], changes)


def _computed(name: str, optimizer: str) -> Reference:
    workload = WORKLOADS[name]
    value_and_grad = imported("autograd").value_and_grad(
        partial(workload.formula, imported("autograd.numpy"))
    )
    first = {key: value.astype(np.float64) for key, value in workload.parameters().items()}
    batch = [a.astype(np.float64) if a.dtype.kind == "f" else a for a in workload.examples()]
    p, slots = first, rules.first_slots(optimizer, first, np.zeros_like)
    losses: list[float] = []
    for t in range(1, STEPS + 1):
        loss, g = value_and_grad(p, *batch)
        p, slots = rules.updated(optimizer, p, g, slots, t, workload.rates[optimizer])
        losses.append(float(loss))
    changes = {key: (p[key] - first[key]).astype(np.float32) for key in p}
    return Reference(np.array(losses), changes)


def check(contender: Contender, workload: str, wanted: Reference) -> None:
    """Make the first steps, and compare losses and weights with the reference.

    Raises
    ------
    WrongResultError
        If they are not what they must be.
    """
    losses = np.array([contender.step() for _ in range(STEPS)])
    off = np.abs(losses - wanted.losses) / np.abs(wanted.losses)
    if not off.max() <= LOSS_TOLERANCE:
        raise WrongResultError(f"losses {losses.tolist()}, wanted {wanted.losses.tolist()}")
    first, last = WORKLOADS[workload].parameters(), contender.parameters()
    error = sum(
        float(np.sum((last[name].astype(np.float64) - first[name] - change) ** 2))
        for name, change in wanted.changes.items()
    )
    total = sum(float(np.sum(change.astype(np.float64) ** 2)) for change in wanted.changes.values())
    share = (error / total) ** 0.5
    if not share <= CHANGE_TOLERANCE:
        raise WrongResultError(
            f"after {STEPS} steps the weights' change is off by {share:.1%} of its 2-norm"
        )


def _digest() -> str:
    """Return a hash of what the reference is computed from."""
    here = Path(__file__).parent
    sources = [here / "reference.py", here / "rules.py", *sorted(here.glob("workloads/*.py"))]
    return hashlib.sha256(b"".join(path.read_bytes() for path in sources)).hexdigest()[:12]
