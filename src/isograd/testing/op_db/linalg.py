"""Rows of linear algebra: the primitives, and the public functions over them."""

# References are written as formulas; their parameters are arrays of any dtype.
# pyright: reportUnknownLambdaType=false, reportUnknownArgumentType=false
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np

from isograd.core.errors import LinAlgError, ShapeError
from isograd.testing.op_db import matrices as ref
from isograd.testing.op_db.generate import Draw, bad, bound, draw, public
from isograd.testing.op_db.spec import ErrorCase, Known, OpSpec, Sample, Samples, Scale

__all__ = ["LINALG"]

Array = Any
Shape = tuple[int, ...]
Call = tuple[tuple[tuple[Draw, Shape], ...], dict[str, Any]]

WIDE = ("float64", "float32")

BLAS = Known("threads", "LAPACK chooses its order of summation by the number of threads")

SQUARE: tuple[Shape, ...] = ((1, 1), (2, 2), (3, 3), (2, 3, 3), (2, 1, 4, 4), (0, 3, 3), (2, 0, 0))
OBLONG: tuple[Shape, ...] = ((4, 2), (2, 4), (2, 3, 2), (2, 2, 3), (1, 3), (3, 1), (0, 2, 3))


# -- matrices --------------------------------------------------------------------------------------


def _steps(shape: Shape) -> Array:
    """Return a diagonal of 1, 3, 5... in a shape."""
    out = np.zeros(shape)
    for i in range(min(shape[-2:])):
        out[..., i, i] = 2 * i + 1
    return out


def apart(rng: np.random.Generator, shape: Shape, dtype: np.dtype[Any]) -> Array:
    """Return matrices whose singular values, and eigenvalues of the symmetric part, lie apart."""
    return (_steps(shape) + rng.uniform(-0.4, 0.4, shape)).astype(dtype)


def mixed(rng: np.random.Generator, shape: Shape, dtype: np.dtype[Any]) -> Array:
    """Return matrices that are far from singular, with rows in an order that must be exchanged."""
    return apart(rng, shape, dtype)[..., ::-1, :].copy()


def positive(rng: np.random.Generator, shape: Shape, dtype: np.dtype[Any]) -> Array:
    """Return symmetric positive definite matrices."""
    x = rng.uniform(-1, 1, shape)
    return (x @ np.swapaxes(x, -1, -2) + np.eye(shape[-1])).astype(dtype)


def uneven(rng: np.random.Generator, shape: Shape, dtype: np.dtype[Any]) -> Array:
    """Return matrices that are positive definite, but not symmetric."""
    return positive(rng, shape, dtype) + rng.uniform(-0.2, 0.2, shape).astype(dtype)


def deficient(rng: np.random.Generator, shape: Shape, dtype: np.dtype[Any]) -> Array:
    """Return square matrices whose last column is the sum of the others, in integers."""
    x = rng.integers(-2, 3, shape)
    x[..., -1] = np.sum(x[..., :-1], axis=-1)
    return x.astype(dtype)


def lonely(rng: np.random.Generator, shape: Shape, dtype: np.dtype[Any]) -> Array:
    """Return matrices with one element that is not 0."""
    x = np.zeros(shape, dtype)
    x[..., 0, 0] = 2
    return x


def dependent(rng: np.random.Generator, shape: Shape, dtype: np.dtype[Any]) -> Array:
    """Return matrices of rank 1."""
    left, right = rng.uniform(1, 2, (*shape[:-1], 1)), rng.uniform(1, 2, (1, shape[-1]))
    return (left * right).astype(dtype)


def number(value: float) -> Draw:
    """Return a source of one number."""
    return lambda rng, shape, dtype: np.full(shape, value, dtype)


CUTOFF = (number(1e-4), ())


def call(*args: tuple[Draw, Shape], **static: Any) -> Call:
    """Write a call: where each tensor comes from, with its shape, and the static arguments."""
    return args, static


def each(
    source: Draw, shapes: Iterable[Shape], *rest: tuple[Draw, Shape], **static: Any
) -> list[Call]:
    """Write calls of one matrix, and what stands beside it, in several shapes."""
    return [call((source, shape), *rest, **static) for shape in shapes]


def samples_of(calls: Sequence[Call]) -> Samples:
    """Return samples; other memory layouts are tried where the first axis is a batch.

    In a single matrix a stride of zero would make all rows equal.
    """

    def samples(rng: np.random.Generator, dtype: np.dtype[Any]) -> Iterable[Sample]:
        for args, static in calls:
            arrays = tuple(source(rng, shape, dtype) for source, shape in args)
            small = max(x.size for x in arrays) < 64
            batch = arrays[0].ndim > 2
            label = "" if small else "large"
            yield Sample(arrays, static, label=label, grad=small, layouts=batch)

    return samples


def nan_in_a_batch(rng: np.random.Generator, dtype: np.dtype[Any]) -> Iterable[Sample]:
    """Return a batch of which one matrix is all NaN."""
    x = positive(rng, (3, 3, 3), dtype)
    x[1] = np.nan
    yield Sample((x,), label="NaN", grad=False)


def _rank_one(*columns: int) -> Samples:
    """Return a matrix of rank 1, right sides, and what counts as 0 of its singular values."""

    def samples(rng: np.random.Generator, dtype: np.dtype[Any]) -> Iterable[Sample]:
        right = [np.ones((4, n), dtype) for n in columns]
        args = dependent(rng, (4, 3), dtype), *right, np.full((), 1e-4, dtype)
        yield Sample(args, label="rank 1", grad=False)

    return samples


# -- rows ------------------------------------------------------------------------------------------


def one(
    name: str,
    matrix: Callable[..., Any],
    *calls: Call,
    reference: Callable[..., Any] | None = None,
    **options: Any,
) -> OpSpec:
    """Write the row of a primitive from the reference for one matrix."""
    of = ref.kept(reference or ref.batched(matrix))
    options.setdefault("errors", (*NOT_A_MATRIX(name), NOT_SQUARE(name)))
    return OpSpec(
        name=name,
        fn=bound(name),
        reference=of,
        samples=samples_of(calls),
        dtypes=WIDE,
        scale=Scale("program", ref.response(of), _side),
        budget=16,
        known=(BLAS,),
        **options,
    )


def _side(x: Array, *rest: Array, **static: Any) -> int:
    return max([1, *x.shape[-2:]])


def NOT_A_MATRIX(name: str, *rest: Any, **static: Any) -> tuple[ErrorCase, ...]:  # noqa: N802
    """Return calls with a vector."""
    return (bad((3,), *rest, error=ShapeError, says=(name, "(3,)", "matrix"), **static),)


def NOT_SQUARE(name: str, *rest: Any, **static: Any) -> ErrorCase:  # noqa: N802
    """Return a call with an oblong matrix."""
    return bad((2, 3), *rest, error=ShapeError, says=(name, "(2, 3)", "square"), **static)


def second_singular(value: float = 0.0) -> Array:
    """Return a batch of which the second matrix is singular, or not positive definite."""
    x = np.stack([np.eye(2), np.diag([1.0, value]), np.eye(2)])
    return x.astype(np.float32)


def _fault(name: str, *rest: Any, value: float = 0.0, says: str, **static: Any) -> ErrorCase:
    x = second_singular(value)
    words = (name, "matrix [1]", "(3, 2, 2)", says)
    return bad(x, *rest, error=LinAlgError, says=words, **static)


COLUMNS = (draw(), (3, 2))
CHOLESKY = one(
    "cholesky",
    ref.cholesky,
    *each(positive, (*SQUARE, (20, 20))),
    *each(uneven, ((3, 3), (2, 2, 2))),
    errors=(
        *NOT_A_MATRIX("cholesky"),
        NOT_SQUARE("cholesky"),
        _fault("cholesky", value=-1.0, says="positive definite"),
        bad((2, 2), error=LinAlgError, says=("cholesky", "(2, 2)", "positive definite")),
    ),
    extreme=nan_in_a_batch,
)
EIGH = one("eigh", ref.eigen, *each(apart, (*SQUARE, (12, 12))), extreme=nan_in_a_batch)
EIGVALSH = one(
    "eigvalsh",
    lambda x: ref.eigen(x)[0],
    *each(apart, (*SQUARE, (12, 12))),
    *each(positive, ((3, 3),)),
    extreme=nan_in_a_batch,
)
QR = one(
    "qr",
    ref.gram_schmidt,
    *each(mixed, (*SQUARE, *OBLONG, (20, 12)), mode="reduced"),
    *each(mixed, ((2, 3), (3, 3)), mode="complete"),
    errors=NOT_A_MATRIX("qr", mode="reduced"),
)
SVD = one(
    "svd",
    ref.singular,
    *each(mixed, (*SQUARE, *OBLONG, (12, 9)), full_matrices=False),
    *each(mixed, ((3, 3), (2, 2, 2)), full_matrices=True),
    errors=NOT_A_MATRIX("svd", full_matrices=False),
)
SVDVALS = one(
    "svdvals",
    lambda x: ref.singular(x)[1],
    *each(mixed, (*SQUARE, *OBLONG, (12, 9))),
    errors=NOT_A_MATRIX("svdvals"),
    extreme=nan_in_a_batch,
)
SYSTEMS = (
    *each(mixed, ((3, 3), (2, 3, 3), (2, 1, 3, 3), (0, 3, 3)), COLUMNS),
    *each(mixed, ((3, 3), (4, 1, 3, 3)), (draw(), (2, 3, 1))),
    *each(mixed, ((1, 1),), (draw(), (1, 0))),
    *each(mixed, ((0, 0),), (draw(), (0, 2))),
    *each(mixed, ((20, 20),), (draw(), (20, 3))),
)
MISFIT = bad((2, 2), (3, 2), error=ShapeError, says=("solve", "(2, 2)", "(3, 2)"))
SOLVE = one(
    "solve",
    ref.solution,
    *SYSTEMS,
    grad_args=(0, 1),
    errors=(
        *NOT_A_MATRIX("solve", (3, 1)),
        NOT_SQUARE("solve", (2, 1)),
        MISFIT,
        bad((2, 2, 2), (3, 2, 2), error=ShapeError, says=("solve", "(2, 2, 2)", "(3, 2, 2)")),
        _fault("solve", (2, 1), says="singular"),
    ),
)
LOWER = {"lower": True, "unit_diagonal": False}
UPPER = {"lower": False, "unit_diagonal": False}
TRIANGULAR = one(
    "solve_triangular",
    ref.triangular,
    *each(apart, ((3, 3), (2, 3, 3)), COLUMNS, **LOWER),
    *each(apart, ((3, 3), (2, 1, 3, 3)), (draw(), (2, 3, 1)), **UPPER),
    *each(apart, ((3, 3), (2, 3, 3)), COLUMNS, lower=True, unit_diagonal=True),
    *each(apart, ((3, 3),), COLUMNS, lower=False, unit_diagonal=True),
    *each(apart, ((150, 150),), (draw(), (150, 2)), **LOWER),
    *each(apart, ((2, 70, 70),), (draw(), (70, 2)), **UPPER),
    *each(apart, ((0, 0),), (draw(), (0, 2)), **UPPER),
    grad_args=(0, 1),
    errors=(
        NOT_SQUARE("solve_triangular", (2, 1), **LOWER),
        _fault("solve_triangular", (2, 1), says="zero on its diagonal", **LOWER),
    ),
)
INV = one(
    "inv",
    ref.inverse,
    *each(mixed, (*SQUARE, (20, 20))),
    errors=(
        *NOT_A_MATRIX("inv"),
        NOT_SQUARE("inv"),
        _fault("inv", says="singular"),
        bad((2, 2), error=LinAlgError, says=("inv", "(2, 2)", "singular")),
    ),
    extreme=nan_in_a_batch,
)
DET = one("det", ref.determinant, *each(mixed, (*SQUARE, (9, 9))), extreme=nan_in_a_batch)
COFACTORS = one("cofactors", ref.adjugate, *each(mixed, (*SQUARE, (5, 5))))
SLOGDET = one("slogdet", ref.log_determinant, *each(mixed, (*SQUARE, (20, 20))))
PINV = one(
    "pinv",
    ref.pseudo_inverse,
    *each(mixed, (*SQUARE, *OBLONG, (12, 9)), CUTOFF),
    reference=lambda x, rtol: ref.batched(ref.pseudo_inverse)(x),
    errors=NOT_A_MATRIX("pinv", ()),
    extreme=_rank_one(),
)
LSTSQ = one(
    "lstsq",
    ref.least_squares,
    *each(mixed, ((3, 3), (3, 2), (2, 3, 2), (3, 4), (0, 3, 2)), COLUMNS, CUTOFF),
    *each(mixed, ((12, 9),), (draw(), (12, 2)), CUTOFF),
    reference=lambda a, b, rtol: ref.batched(ref.least_squares)(a, b),
    grad_args=(0, 1),
    errors=NOT_A_MATRIX("lstsq", (3, 2), ()),
    extreme=_rank_one(2),
)
EXPM = one(
    "expm",
    ref.exponential,
    *each(draw(-1, 1), (*SQUARE, (12, 12))),
    *each(draw(-9, 9), ((2, 2), (2, 3, 3))),
)

PRIMITIVES = (
    CHOLESKY,
    EIGH,
    EIGVALSH,
    QR,
    SVD,
    SVDVALS,
    SOLVE,
    TRIANGULAR,
    INV,
    DET,
    COFACTORS,
    SLOGDET,
    PINV,
    LSTSQ,
    EXPM,
)


# -- public functions ------------------------------------------------------------------------------


def function(
    name: str,
    reference: Callable[..., Any],
    *calls: Call,
    fn: Callable[..., Any] | None = None,
    **options: Any,
) -> OpSpec:
    """Write the row of a public function of `isograd.linalg`."""
    of = ref.kept(reference)
    return OpSpec(
        name=f"isograd.linalg.{name}",
        fn=fn or public(f"linalg.{name.partition(',')[0]}"),
        reference=of,
        samples=samples_of(calls),
        scale=options.pop("scale", Scale("program", ref.response(of), _side)),
        budget=8,
        known=(BLAS,),
        primitive=False,
        **options,
    )


def _matrix_norm(x: Array, *, ord: Any = "fro", keepdims: bool = False) -> Array:  # noqa: A002
    if ord == "fro":
        out = np.sqrt(np.sum(x**2, axis=(-2, -1)))
    elif ord in ("nuc", 2, -2):
        values = ref.batched(lambda m: ref.singular(m)[1])(x)
        out = {"nuc": np.sum, 2: np.max, -2: np.min}[ord](values, axis=-1)
    else:
        sums = np.sum(np.abs(x), axis=-2 if abs(ord) == 1 else -1)
        out = (np.max if ord > 0 else np.min)(sums, axis=-1)
    return out[..., None, None] if keepdims else out


def _norm(x: Array, *, ord: Any, axis: Any, keepdims: bool = False) -> Array:  # noqa: A002
    if axis is None or isinstance(axis, tuple):
        out = _matrix_norm(x if axis is None else np.moveaxis(x, axis, (-2, -1)), ord=ord)
        return np.expand_dims(out, axis or (0, 1)) if keepdims else out
    return np.sum(np.abs(x) ** ord, axis=axis, keepdims=keepdims) ** (1.0 / ord)


def _cond(x: Array, *, ord: Any = None) -> Array:  # noqa: A002
    if ord is None:
        values = ref.batched(lambda m: ref.singular(m)[1])(x)
        return values[..., 0] / values[..., -1]
    return _matrix_norm(x, ord=ord) * _matrix_norm(ref.batched(ref.inverse)(x), ord=ord)


def _power(x: Array, n: int) -> Array:
    out = np.broadcast_to(np.eye(x.shape[-1], dtype=x.dtype), x.shape)
    for _ in range(abs(n)):
        out = out @ (x if n > 0 else ref.batched(ref.inverse)(x))
    return out


def _least(a: Array, b: Array) -> tuple[Array, ...]:
    """Return what `lstsq` does, for matrices of full rank."""
    values = ref.batched(lambda m: ref.singular(m)[1])(a)
    columns = b[:, None] if b.ndim == 1 else b
    out = ref.batched(ref.least_squares)(a, columns)
    left = np.sum((a @ out - columns) ** 2, axis=-2)
    rank = np.full(a.shape[:-2], min(a.shape[-2:]))
    return (out[..., 0], left[..., 0], rank, values) if b.ndim == 1 else (out, left, rank, values)


def _of_vector(of: Callable[..., Any]) -> Callable[..., Any]:
    return lambda a, b, **static: ref.batched(of)(a, b[:, None], **static)[..., 0]


def _rank(x: Array, *, rtol: float | None = None) -> Array:
    def of(m: Array) -> Array:
        values = ref.singular(m)[1]
        return np.asarray(np.sum(values > (rtol or 1e-5) * np.max(values, initial=0.0)))

    return ref.batched(of)(x).astype(np.int64)


VECTOR = (draw(), (3,))
BAD_VECTOR = bad((2, 2), (3,), error=ShapeError, says=("solve", "(2, 2)", "3"))
NUMBER = bad((2, 2), (), error=ShapeError, says=("solve", "number"))

FUNCTIONS = (
    function(
        "cholesky",
        lambda x, upper=False: (
            np.swapaxes(ref.batched(ref.cholesky)(x), -1, -2)
            if upper
            else ref.batched(ref.cholesky)(x)
        ),
        *each(positive, ((3, 3), (2, 3, 3))),
        *each(positive, ((3, 3),), upper=True),
    ),
    function(
        "solve",
        _of_vector(ref.solution),
        *each(mixed, ((3, 3), (2, 3, 3)), VECTOR),
        grad_args=(0, 1),
        errors=(BAD_VECTOR, NUMBER),
    ),
    function(
        "solve_triangular",
        lambda a, b, upper, unitriangular=False: _of_vector(ref.triangular)(
            a, b, lower=not upper, unit_diagonal=unitriangular
        ),
        *each(apart, ((3, 3), (2, 3, 3)), VECTOR, upper=True),
        *each(apart, ((3, 3),), VECTOR, upper=False, unitriangular=True),
        grad_args=(0, 1),
    ),
    function(
        "cholesky_solve",
        lambda b, f, upper=False: ref.batched(ref.solution)(
            np.swapaxes(np.triu(f), -1, -2) @ np.triu(f)
            if upper
            else np.tril(f) @ np.swapaxes(np.tril(f), -1, -2),
            b,
        ),
        call((draw(), (3, 2)), (apart, (3, 3))),
        call((draw(), (2, 3, 1)), (apart, (3, 3)), upper=True),
        grad_args=(0, 1),
    ),
    function("inv", ref.batched(ref.inverse), *each(mixed, ((3, 3), (2, 3, 3)))),
    function(
        "det, singular",
        ref.batched(ref.determinant),
        *each(deficient, ((2, 2), (3, 3), (2, 3, 3))),
        *each(lonely, ((3, 3),)),
        order=1,
        dtypes=WIDE,
    ),
    function(
        "slogdet",
        ref.batched(ref.log_determinant),
        *each(mixed, ((3, 3), (2, 3, 3))),
        errors=(NOT_SQUARE("slogdet"),),
    ),
    function(
        "pinv",
        lambda x, rtol=None: ref.batched(ref.pseudo_inverse)(x),
        *each(mixed, ((3, 2), (2, 2, 3))),
        *each(mixed, ((3, 2),), rtol=1e-3),
        errors=(bad((2, 2), np.zeros(3), error=ShapeError, says=("pinv", "(3,)", "rtol")),),
        fn=lambda x, *rtol, **static: public("linalg.pinv")(
            x, **({"rtol": rtol[0]} if rtol else static)
        ),
    ),
    function(
        "lstsq",
        _least,
        *each(mixed, ((4, 3), (2, 4, 3)), (draw(), (4, 2))),
        call((mixed, (4, 3)), (draw(), (4,))),
        call((mixed, (2, 3)), (draw(), (2,))),
        grad_args=(0, 1),
        dtypes=WIDE,
    ),
    function(
        "matrix_rank",
        _rank,
        *each(mixed, ((3, 3), (2, 3, 2), (0, 2), (2, 2, 0))),
        *each(dependent, ((3, 3), (2, 3, 2))),
        *each(mixed, ((3, 3),), rtol=0.5),
        scale=Scale("exact"),
        grad_args=(),
        dtypes=WIDE,
    ),
    *(
        function(
            f"matrix_norm, {order}",
            _matrix_norm,
            *each(mixed, ((3, 3), (2, 3, 2), (2, 2, 3)), ord=order),
            *each(mixed, ((2, 2),), ord=order, keepdims=True),
            errors=NOT_A_MATRIX("matrix_norm") if order == "fro" else (),
            order=1 if order in (1, -1, np.inf, -np.inf) else 2,
        )
        for order in ("fro", "nuc", 1, -1, 2, -2, np.inf, -np.inf)
    ),
    function(
        "norm",
        _norm,
        *each(mixed, ((3, 3),), ord="nuc", axis=None),
        *each(draw(avoid=[0.0]), ((2, 3, 2),), ord=3, axis=1),
        *each(mixed, ((3, 3, 2),), ord=2, axis=(2, 0)),
        *each(mixed, ((3, 3, 2),), ord="fro", axis=(0, 1), keepdims=True),
        errors=(
            bad((2, 2, 2), ord=2, error=ShapeError, says=("norm", "3 axes", "(2, 2, 2)")),
            bad((2, 2), ord="max", error=ValueError, says=("norm", "'max'")),
        ),
    ),
    function(
        "cond",
        _cond,
        *each(mixed, ((3, 3), (2, 3, 2))),
        *each(mixed, ((3, 3),), ord="fro"),
        dtypes=WIDE,
    ),
    function(
        "matrix_power",
        _power,
        *(call((mixed, (2, 3, 3)), n=n) for n in (0, 1, 2, 5, -2)),
        fn=lambda x, *, n: public("linalg.matrix_power")(x, n),
        errors=(NOT_SQUARE("matrix_power", n=2),),
        dtypes=WIDE,
    ),
    function("expm", ref.batched(ref.exponential), *each(draw(-1, 1), ((3, 3), (2, 2, 2)))),
)

LINALG: tuple[OpSpec, ...] = (*PRIMITIVES, *FUNCTIONS)
