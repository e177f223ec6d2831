"""Files: weights as safetensors, arrays as npz without pickle, checkpoints of a whole training.

>>> import isograd as ig, tempfile
>>> from isograd.io import Checkpoints, TrainState
>>> model = ig.nn.Linear(3, 1)
>>> state = TrainState(model=model, optimizer=ig.optim.Adam(model.parameters()))
>>> checkpoints = Checkpoints(tempfile.mkdtemp(), keep=2)
>>> path = checkpoints.save(state, step=10)
>>> checkpoints.load(state)
10
"""

from isograd.io.atomic import atomic_write
from isograd.io.checkpoint import Checkpoints
from isograd.io.models import load_model, save_model
from isograd.io.npz import load_npz, save_npz
from isograd.io.safetensors import (
    LazyTensors,
    load_safetensors,
    open_safetensors,
    save_safetensors,
)
from isograd.io.train_state import TrainState
from isograd.io.tree import load_tree, save_tree

__all__ = [
    "Checkpoints",
    "LazyTensors",
    "TrainState",
    "atomic_write",
    "load_model",
    "load_npz",
    "load_safetensors",
    "load_tree",
    "open_safetensors",
    "save_model",
    "save_npz",
    "save_safetensors",
    "save_tree",
]
