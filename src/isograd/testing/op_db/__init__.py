"""The table of operations: each declared once, with an independent reference.

`OP_DB` holds a row for every primitive, in the order of `isograd.ops.PRIMITIVES`' families, and for
every public composite. Tests, `isograd check` and the conformance of backends are generated from
it.
"""

from __future__ import annotations

from isograd.testing.op_db.activations import ACTIVATIONS
from isograd.testing.op_db.blocks import BLOCKS
from isograd.testing.op_db.complexes import COMPLEXES
from isograd.testing.op_db.contractions import CONTRACTIONS, SOURCES
from isograd.testing.op_db.elementwise import ELEMENTWISE
from isograd.testing.op_db.fourier import FOURIER
from isograd.testing.op_db.fused import FUSED
from isograd.testing.op_db.indexing import INDEXING
from isograd.testing.op_db.layers import LAYERS
from isograd.testing.op_db.linalg import LINALG
from isograd.testing.op_db.losses import LOSSES
from isograd.testing.op_db.movement import MOVEMENT
from isograd.testing.op_db.products import PRODUCTS
from isograd.testing.op_db.recurrences import RECURRENCES
from isograd.testing.op_db.recurrent import RECURRENT
from isograd.testing.op_db.reductions import REDUCTIONS
from isograd.testing.op_db.resampling import RESAMPLING
from isograd.testing.op_db.scattering import SCATTERING
from isograd.testing.op_db.searching import SEARCHING
from isograd.testing.op_db.shaping import SHAPING
from isograd.testing.op_db.spec import FLOATS, ErrorCase, Known, OpSpec, Sample, Scale
from isograd.testing.op_db.special import SPECIAL
from isograd.testing.op_db.statistics import STATISTICS
from isograd.testing.op_db.training import TRAINING
from isograd.testing.op_db.windows import WINDOWED

__all__ = [
    "FLOATS",
    "OP_DB",
    "ErrorCase",
    "Known",
    "OpSpec",
    "Sample",
    "Scale",
    "missing",
    "primitive_specs",
]

OP_DB: tuple[OpSpec, ...] = (
    *ELEMENTWISE,
    *SPECIAL,
    *REDUCTIONS,
    *MOVEMENT,
    *INDEXING,
    *CONTRACTIONS,
    *LINALG,
    *PRODUCTS,
    *SOURCES,
    *FUSED,
    *WINDOWED,
    *BLOCKS,
    *RECURRENT,
    *RECURRENCES,
    *TRAINING,
    *STATISTICS,
    *SHAPING,
    *SCATTERING,
    *SEARCHING,
    *ACTIVATIONS,
    *LOSSES,
    *RESAMPLING,
    *LAYERS,
    *COMPLEXES,
    *FOURIER,
)
"""Every row."""


def primitive_specs() -> dict[str, OpSpec]:
    """Return the rows of primitives by name."""
    return {spec.name: spec for spec in OP_DB if spec.primitive}


def missing() -> list[str]:
    """Return the primitives that have no row.

    Examples
    --------
    >>> missing()
    []
    """
    from isograd.ops import PRIMITIVES

    known = primitive_specs()
    return [name for name in PRIMITIVES if name not in known]
