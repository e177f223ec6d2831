"""Rows of complex numbers: their parts, and functions of real numbers that take them as well."""

# References are written as formulas; their parameters are arrays of any dtype.
# pyright: reportUnknownLambdaType=false, reportUnknownArgumentType=false
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false

from __future__ import annotations

import dataclasses
from collections.abc import Iterable
from typing import Any

import numpy as np

from isograd.core.dtypes import as_dtype
from isograd.core.errors import DTypeError, ShapeError
from isograd.testing.op_db.generate import Draw, bad, bound, draw, public
from isograd.testing.op_db.public import case, joined, row
from isograd.testing.op_db.spec import COMPLEX, OpSpec, Sample, Scale

__all__ = ["COMPLEXES"]

Array = Any

_REAL = np.ones(3, np.float32)
_SOME = np.ones(3, np.complex64)
# Kernels of complex numbers are NumPy's for all sizes, so a few small samples say it all.
_SHAPES = (case((3, 4)), case((0, 3)))
_PAIRS = (case((3, 1), (4,)), case((0, 3), (1, 3)))
_ALL_SHAPES = (*_SHAPES, case(()), case((45, 47)))
_ALL_PAIRS = (*_PAIRS, case((), (2, 3)), case((45, 47), (47,)))


def _complex(name: str, reference: Any, *cases: Any, **options: Any) -> OpSpec:
    """Write a row of complex numbers; ``complex.f`` is the row of the public function f."""
    if name.startswith("complex."):
        options.setdefault("fn", public(name.removeprefix("complex.")))
    return row(name, reference, *cases, dtypes=COMPLEX, **options)


def _primitive(name: str, reference: Any, *cases: Any, **options: Any) -> OpSpec:
    made = _complex(name, reference, *cases, fn=bound(name), **options)
    return dataclasses.replace(made, primitive=True)


_ENDS = (-2.0, 0.5, 3e30, -3e30, 1e-30)


def _at_ends(spec: OpSpec) -> OpSpec:
    """Add numbers on both sides of branch cuts, whose squares complex64 cannot hold."""

    def samples(rng: np.random.Generator, dtype: np.dtype[Any]) -> Iterable[Sample]:
        x = np.array([complex(a, b) for a in _ENDS for b in (0.0, -0.0)], dtype)
        args = (x[:, None], x[::2]) if len(spec.grad_args) == 2 else (x,)
        yield Sample(args, label="extreme", grad=False)

    return dataclasses.replace(spec, extreme=samples)


# -- parts -----------------------------------------------------------------------------------------


def _joined_parts(x: Array, y: Array) -> Array:
    wide, high = np.broadcast_arrays(x, y)
    out = np.zeros(wide.shape, np.result_type(x.dtype, np.complex64))
    out.real, out.imag = wide, high
    return out


def _pairs(x: Array) -> Array:
    return np.stack([x.real, x.imag], axis=-1)


PARTS = (
    _primitive(
        "real",
        lambda x: x.real.copy(),
        *_ALL_SHAPES,
        errors=(bad(_REAL, error=DTypeError, says=("real", "float32")),),
    ),
    _primitive(
        "imag",
        lambda x: x.imag.copy(),
        *_ALL_SHAPES,
        errors=(bad(_REAL, error=DTypeError, says=("imag", "float32")),),
    ),
    _primitive(
        "conj",
        lambda x: _joined_parts(x.real, -x.imag),
        *_ALL_SHAPES,
        errors=(bad(_REAL, error=DTypeError, says=("conj", "float32")),),
    ),
    dataclasses.replace(
        row(
            "complex",
            _joined_parts,
            *_ALL_PAIRS,
            fn=bound("complex"),
            dtypes=("float64", "float32"),
            grad_args=(0, 1),
            errors=(
                bad(np.ones(3, "f2"), np.ones(3, "f2"), error=DTypeError, says=("complex",)),
                bad((2, 3), (4,), error=ShapeError, says=("complex", "(2, 3)", "(4,)")),
            ),
        ),
        primitive=True,
    ),
    _at_ends(_complex("angle", lambda x: np.arctan2(x.imag, x.real), *_ALL_SHAPES, scale=Scale())),
    _complex("view_as_real", _pairs, *_SHAPES),
    row(
        "view_as_complex",
        lambda x: _joined_parts(x[..., 0], x[..., 1]),
        case((3, 2)),
        case((2,)),
        case((0, 2)),
        dtypes=("float64", "float32"),
        errors=(bad((2, 3), error=ShapeError, says=("view_as_complex", "(2, 3)")),),
    ),
    *(
        _at_ends(_complex(f"complex.{name}", reference, *_SHAPES, scale=Scale()))
        for name, reference in (("abs", np.abs), ("sign", lambda x: x / np.abs(x)))
    ),
    _complex(
        "complex.astype",
        lambda x, *, dtype: x.astype(dtype),
        case((3, 4), dtype=as_dtype("complex128")),
        case((3, 4), dtype=as_dtype("complex64")),
        fn=bound("astype"),
        order=1,
        grad_args=(),
        errors=(
            bad(_SOME, dtype=as_dtype("float32"), error=DTypeError, says=("astype", "complex64")),
        ),
    ),
    row(
        "real as complex",
        lambda x, *, dtype: x.astype(dtype),
        case((3, 4), dtype=as_dtype("complex128")),
        fn=bound("astype"),
        dtypes=("float64", "float32"),
    ),
)

# -- elementwise -----------------------------------------------------------------------------------

_MILD = draw(-1.2, 1.2)


def _unary(name: str, reference: Any, source: Draw | None = None, **options: Any) -> OpSpec:
    # Parts of a result may cancel, so that what counts is the size of the whole.
    return _complex(
        f"complex.{name}",
        reference,
        *_SHAPES,
        source=source or _MILD,
        **{"scale": Scale(), **options},
    )


ELEMENTWISE = (
    _unary("negative", lambda x: _joined_parts(-x.real, -x.imag), scale=Scale("exact")),
    _unary("square", lambda x: x * x),
    _at_ends(_unary("reciprocal", lambda x: 1.0 / x, draw(0.5, 2.0))),
    _unary("exp", np.exp),
    _unary("expm1", lambda x: np.exp(x) - 1.0, draw(0.5, 2.0)),
    _at_ends(_unary("log", np.log, draw(1.2, 4.0))),
    _unary("log1p", lambda x: np.log(1.0 + x), draw(0.5, 2.0)),
    _unary("log2", lambda x: np.log(x) / np.log(2.0), draw(1.2, 4.0)),
    _unary("log10", lambda x: np.log(x) / np.log(10.0), draw(1.2, 4.0)),
    _at_ends(_unary("sqrt", np.sqrt, draw(-4.0, 4.0))),
    _unary("rsqrt", lambda x: 1.0 / np.sqrt(x), draw(-4.0, 4.0)),
    _unary("sin", np.sin),
    _unary("cos", np.cos),
    _unary("tan", lambda x: np.sin(x) / np.cos(x)),
    _unary("asin", np.arcsin, draw(-2.0, 2.0)),
    _unary("acos", np.arccos, draw(-2.0, 2.0)),
    _unary("atan", np.arctan, draw(-2.0, 2.0, avoid=[0.0])),
    _unary("sinh", np.sinh),
    _unary("cosh", np.cosh),
    _unary("tanh", lambda x: np.sinh(x) / np.cosh(x)),
    _unary("asinh", np.arcsinh, draw(-2.0, 2.0, avoid=[0.0])),
    _unary("acosh", np.arccosh, draw(-2.0, 2.0)),
    _unary("atanh", np.arctanh, draw(-2.0, 2.0)),
    *(
        _unary(name, reference, scale=Scale("exact"), grad_args=())
        for name, reference in (
            ("round", lambda x: _joined_parts(np.rint(x.real), np.rint(x.imag))),
            ("isnan", lambda x: x != x),
            ("isinf", lambda x: np.isinf(x.real) | np.isinf(x.imag)),
            ("isfinite", lambda x: np.isfinite(x.real) & np.isfinite(x.imag)),
            ("logical_not", lambda x: x == 0),
            ("stop_gradient", np.copy),
        )
    ),
)


def _binary(name: str, reference: Any, source: Draw | None = None, **options: Any) -> OpSpec:
    return _complex(
        f"complex.{name}",
        reference,
        *_PAIRS,
        source=source or _MILD,
        **{"scale": Scale(), "grad_args": (0, 1), **options},
    )


PAIRED = (
    _binary("add", lambda x, y: x + y, scale=Scale("exact")),
    _binary("subtract", lambda x, y: x - y, scale=Scale("exact")),
    _binary("multiply", lambda x, y: x * y),
    _at_ends(_binary("divide", lambda x, y: x / y, draw(0.5, 2.0))),
    _binary(
        "pow",
        lambda x, y: np.exp(y * np.log(x)),
        draw(0.5, 2.0),
        scale=Scale(of=lambda x, y: np.abs(x**y) * (1.0 + np.abs(y * np.log(x)))),
    ),
    _binary("equal", lambda x, y: x == y, scale=Scale("exact"), grad_args=()),
    _binary("not_equal", lambda x, y: x != y, scale=Scale("exact"), grad_args=()),
    _complex(
        "complex.where",
        lambda x, y: np.where(np.abs(x.real) > 1.0, x, y),
        case((3, 4), (4,)),
        fn=lambda x, y: public("where")(public("abs")(x.real) > 1.0, x, y),
        grad_args=(0, 1),
    ),
    _complex(
        "beside real numbers",
        lambda x: (2.0 * x - 3) / (1.5j - x) + x.real,
        *_SHAPES,
        fn=lambda x: (2.0 * x - 3) / (1.5j - x) + x.real,
        source=draw(2.0, 3.0),
        scale=Scale(of=lambda x: 8.0 + np.abs(x)),
    ),
)

# -- reductions and products -----------------------------------------------------------------------


def _terms(x: Array, *, axis: Any = None, **_: Any) -> int:
    return x.size if axis is None else x.shape[axis]


def _sizes(x: Array, **static: Any) -> Array:
    return np.sum(np.abs(x), **static)


_REDUCED = (case((3, 4)), case((2, 3, 4), axis=1, keepdims=True))
_SUMS = Scale("sum", of=_sizes, terms=_terms)


def _matrix_sizes(x: Array, y: Array) -> Array:
    return np.matmul(np.abs(x), np.abs(y))


REDUCTIONS = (
    _complex(
        "complex.sum",
        np.sum,
        *_REDUCED,
        case(()),
        case((0, 3), axis=0),
        case((70, 71)),
        scale=_SUMS,
    ),
    _complex("complex.mean", np.mean, *_REDUCED, scale=Scale("sum", terms=_terms)),
    _complex(
        "complex.prod", np.prod, *_REDUCED, case((0, 3), axis=0), scale=Scale("sum", terms=_terms)
    ),
    _complex(
        "complex.cumulative_sum",
        np.cumsum,
        case((5,), axis=0),
        case((3, 4), axis=-1),
        scale=Scale("sum", of=lambda x, axis: np.cumsum(np.abs(x), axis), terms=_terms),
    ),
    _complex(
        "complex.cumulative_prod",
        np.cumprod,
        case((5,), axis=0),
        case((3, 4), axis=-1),
        scale=Scale("sum", terms=_terms),
    ),
    _complex(
        "complex.vector_norm",
        lambda x, *, axis: np.sqrt(np.sum(x.real**2 + x.imag**2, axis=axis)),
        case((3, 4), axis=None),
        case((3, 4), axis=1),
        fn=public("linalg.vector_norm"),
        scale=Scale("sum", terms=lambda x, **_: x.size),
    ),
    _complex("complex.any", lambda x, **s: np.any(x != 0, **s), *_REDUCED, grad_args=()),
)
PRODUCTS = (
    _complex(
        "complex.matmul",
        lambda x, y: np.einsum("...ik,...kj->...ij", x, y),
        case((3, 4), (4, 2)),
        case((2, 3, 4), (2, 4, 3)),
        case((3, 1, 2, 4), (2, 4, 2)),
        case((2, 0), (0, 3)),
        case((33, 65), (65, 17)),
        grad_args=(0, 1),
        scale=Scale("sum", of=_matrix_sizes, terms=lambda x, y: x.shape[-1]),
    ),
    _complex(
        "complex.vecdot",
        lambda x, y: np.sum(x.conj() * y, axis=-1),
        case((3, 4), (4,)),
        grad_args=(0, 1),
        scale=Scale("sum", of=lambda x, y: np.sum(np.abs(x * y), -1), terms=lambda x, y: 4),
    ),
)

# -- movement --------------------------------------------------------------------------------------


def _stepped(x: Array) -> Array:
    """Combine moves: what each does is the same as with real numbers."""
    turned = np.flip(np.moveaxis(x, 0, -1), axis=0)[1:, ::2]
    return np.concatenate([turned, np.pad(turned, ((1, 1), (0, 0)))], axis=0)


def _step(x: Any) -> Any:
    turned = public("flip")(public("moveaxis")(x, 0, -1), axis=0)[1:, ::2]
    return public("concat")([turned, public("pad")(turned, [(1, 1), (0, 0)])], axis=0)


def _updated(x: Array, y: Array) -> Array:
    out = x.copy()
    out[1] = y
    np.add.at(out, [0, 0, 2], y)
    return out


def _windows(x: Array) -> Array:
    return np.stack([x[..., i : i + 3] for i in range(x.shape[-1] - 2)], axis=-2)


_POSITIONS = [0, 0, 2, -1]

MOVEMENT = (
    _complex("complex moves", _stepped, case((5, 4)), case((6, 3)), fn=_step),
    _complex(
        "complex.stack",
        lambda x, y: np.stack([x, y], axis=1),
        case((3, 4), (3, 4)),
        fn=lambda x, y: joined("stack")(x, y, axis=1),
        grad_args=(0, 1),
    ),
    _complex("complex reads", lambda x: x[_POSITIONS], case((3, 4)), fn=lambda x: x[_POSITIONS]),
    _complex(
        "complex updates",
        _updated,
        case((3, 4), (4,)),
        fn=lambda x, y: x.at[1].set(y).at[[0, 0, 2]].add(y),
        grad_args=(0, 1),
        scale=Scale(of=lambda x, y: np.abs(x) + 2 * np.abs(y)),
    ),
    _complex(
        "complex windows",
        _windows,
        case((2, 7)),
        fn=lambda x: bound("unfold")(x, kernel=(3,), stride=(1,), dilation=(1,)),
    ),
)

COMPLEXES: tuple[OpSpec, ...] = (
    *PARTS,
    *ELEMENTWISE,
    *PAIRED,
    *REDUCTIONS,
    *PRODUCTS,
    *MOVEMENT,
)
