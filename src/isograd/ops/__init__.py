"""The operations: primitives, their derivatives, and the functions that users call."""

from __future__ import annotations

from types import ModuleType

from isograd.ops import (
    arithmetic,
    assembly,
    batching,
    comparing,
    complexes,
    contraction,
    convert,
    creation,
    derivatives,
    diagonals,
    exchange,
    fft,
    indexing,
    linalg,
    linear,
    math,
    movement,
    namespace,
    random,
    reductions,
    scattering,
    searching,
    special,
    statistics,
    subscripts,
)
from isograd.ops import recurrent as recurrent  # its primitives enter PRIMITIVES
from isograd.ops.arithmetic import *  # noqa: F403
from isograd.ops.assembly import *  # noqa: F403
from isograd.ops.comparing import *  # noqa: F403
from isograd.ops.complexes import *  # noqa: F403
from isograd.ops.contraction import *  # noqa: F403
from isograd.ops.creation import *  # noqa: F403
from isograd.ops.diagonals import *  # noqa: F403
from isograd.ops.exchange import *  # noqa: F403
from isograd.ops.indexing import *  # noqa: F403
from isograd.ops.linear import *  # noqa: F403
from isograd.ops.math import *  # noqa: F403
from isograd.ops.movement import *  # noqa: F403
from isograd.ops.namespace import *  # noqa: F403
from isograd.ops.primitives import PRIMITIVES
from isograd.ops.reductions import *  # noqa: F403
from isograd.ops.scattering import *  # noqa: F403
from isograd.ops.searching import *  # noqa: F403
from isograd.ops.special import *  # noqa: F403
from isograd.ops.statistics import *  # noqa: F403
from isograd.ops.subscripts import *  # noqa: F403
from isograd.runtime.library import library

__all__ = ["PRIMITIVES", "fft", "linalg", "random"]
_FAMILIES = (
    arithmetic,
    assembly,
    comparing,
    complexes,
    contraction,
    creation,
    diagonals,
    exchange,
    indexing,
    linear,
    math,
    movement,
    namespace,
    reductions,
    scattering,
    searching,
    special,
    statistics,
    subscripts,
)
for _module in _FAMILIES:
    __all__ += _module.__all__  # pyright: ignore[reportUnsupportedDunderAll]


def _provide(module: ModuleType) -> None:
    for name in module.__all__:
        setattr(library, name, getattr(module, name))


for _module in _FAMILIES:
    _provide(_module)
library.random_snapshot = random.snapshot
library.constant = convert.constant
derivatives.install()
batching.install()
