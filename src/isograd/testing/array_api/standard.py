"""Every function of the standard with its signature, and what is missing here.

A gap has a reason, and closes by itself where the name appears.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from typing import Any, Final, NamedTuple

import isograd as ig

__all__ = [
    "ATTRIBUTES",
    "CONSTANTS",
    "DTYPES",
    "METHODS",
    "ROWS",
    "Row",
    "limit_of",
    "list_as_markdown",
    "misfits",
]

_ELEMENTWISE = """
abs acos acosh asin asinh atan atanh bitwise_invert ceil conj cos cosh exp expm1 floor imag isfinite
isinf isnan log log1p log2 log10 logical_not negative positive real reciprocal round sign signbit
sin sinh sqrt square tan tanh trunc"""
_BINARY = """
add atan2 bitwise_and bitwise_left_shift bitwise_or bitwise_right_shift bitwise_xor copysign divide
equal floor_divide greater greater_equal hypot less less_equal logaddexp logical_and logical_or
logical_xor maximum minimum multiply nextafter not_equal pow remainder subtract"""

_FAMILIES: Final[dict[str, str]] = {
    "creation": """
        arange(start, /, stop=None, step=1, *, dtype=None, device=None)
        asarray(obj, /, *, dtype=None, device=None, copy=None)
        empty(shape, *, dtype=None, device=None)
        empty_like(x, /, *, dtype=None, device=None)
        eye(n_rows, n_cols=None, /, *, k=0, dtype=None, device=None)
        from_dlpack(x, /, *, device=None, copy=None)
        full(shape, fill_value, *, dtype=None, device=None)
        full_like(x, /, fill_value, *, dtype=None, device=None)
        linspace(start, stop, /, num, *, dtype=None, device=None, endpoint=True)
        meshgrid(*arrays, indexing="xy")
        ones(shape, *, dtype=None, device=None)
        ones_like(x, /, *, dtype=None, device=None)
        tril(x, /, *, k=0)
        triu(x, /, *, k=0)
        zeros(shape, *, dtype=None, device=None)
        zeros_like(x, /, *, dtype=None, device=None)""",
    "dtypes": """
        astype(x, dtype, /, *, copy=True, device=None)
        can_cast(from_, to, /)
        finfo(type, /)
        iinfo(type, /)
        isdtype(dtype, kind)
        result_type(*arrays_and_dtypes)""",
    "elementwise": "\n".join(
        [f"{name}(x, /)" for name in _ELEMENTWISE.split()]
        + [f"{name}(x1, x2, /)" for name in _BINARY.split()]
        + ["clip(x, /, min=None, max=None)"]
    ),
    "indexing": """
        take(x, indices, /, *, axis=None)
        take_along_axis(x, indices, /, *, axis=-1)""",
    "inspection": "__array_namespace_info__()",
    "linear algebra": """
        matmul(x1, x2, /)
        matrix_transpose(x, /)
        tensordot(x1, x2, /, *, axes=2)
        vecdot(x1, x2, /, *, axis=-1)""",
    "manipulation": """
        broadcast_arrays(*arrays)
        broadcast_to(x, /, shape)
        concat(arrays, /, *, axis=0)
        expand_dims(x, /, *, axis=0)
        flip(x, /, *, axis=None)
        moveaxis(x, source, destination, /)
        permute_dims(x, /, axes)
        repeat(x, repeats, /, *, axis=None)
        reshape(x, /, shape, *, copy=None)
        roll(x, /, shift, *, axis=None)
        squeeze(x, /, axis)
        stack(arrays, /, *, axis=0)
        tile(x, repetitions, /)
        unstack(x, /, *, axis=0)""",
    "searching": """
        argmax(x, /, *, axis=None, keepdims=False)
        argmin(x, /, *, axis=None, keepdims=False)
        count_nonzero(x, /, *, axis=None, keepdims=False)
        nonzero(x, /)
        searchsorted(x1, x2, /, *, side="left", sorter=None)
        where(condition, x1, x2, /)""",
    "sets": """
        unique_all(x, /)
        unique_counts(x, /)
        unique_inverse(x, /)
        unique_values(x, /)""",
    "sorting": """
        argsort(x, /, *, axis=-1, descending=False, stable=True)
        sort(x, /, *, axis=-1, descending=False, stable=True)""",
    "statistical": """
        cumulative_prod(x, /, *, axis=None, dtype=None, include_initial=False)
        cumulative_sum(x, /, *, axis=None, dtype=None, include_initial=False)
        max(x, /, *, axis=None, keepdims=False)
        mean(x, /, *, axis=None, keepdims=False)
        min(x, /, *, axis=None, keepdims=False)
        prod(x, /, *, axis=None, dtype=None, keepdims=False)
        std(x, /, *, axis=None, correction=0.0, keepdims=False)
        sum(x, /, *, axis=None, dtype=None, keepdims=False)
        var(x, /, *, axis=None, correction=0.0, keepdims=False)""",
    "utility": """
        all(x, /, *, axis=None, keepdims=False)
        any(x, /, *, axis=None, keepdims=False)
        diff(x, /, *, axis=-1, n=1, prepend=None, append=None)""",
    "linalg": """
        linalg.cholesky(x, /, *, upper=False)
        linalg.cross(x1, x2, /, *, axis=-1)
        linalg.det(x, /)
        linalg.diagonal(x, /, *, offset=0)
        linalg.eigh(x, /)
        linalg.eigvalsh(x, /)
        linalg.inv(x, /)
        linalg.matmul(x1, x2, /)
        linalg.matrix_norm(x, /, *, keepdims=False, ord="fro")
        linalg.matrix_power(x, n, /)
        linalg.matrix_rank(x, /, *, rtol=None)
        linalg.matrix_transpose(x, /)
        linalg.outer(x1, x2, /)
        linalg.pinv(x, /, *, rtol=None)
        linalg.qr(x, /, *, mode="reduced")
        linalg.slogdet(x, /)
        linalg.solve(x1, x2, /)
        linalg.svd(x, /, *, full_matrices=True)
        linalg.svdvals(x, /)
        linalg.tensordot(x1, x2, /, *, axes=2)
        linalg.trace(x, /, *, offset=0, dtype=None)
        linalg.vecdot(x1, x2, /, *, axis=-1)
        linalg.vector_norm(x, /, *, axis=None, keepdims=False, ord=2)""",
    "fft": """
        fft.fft(x, /, *, n=None, axis=-1, norm="backward")
        fft.ifft(x, /, *, n=None, axis=-1, norm="backward")
        fft.fftn(x, /, *, s=None, axes=None, norm="backward")
        fft.ifftn(x, /, *, s=None, axes=None, norm="backward")
        fft.rfft(x, /, *, n=None, axis=-1, norm="backward")
        fft.irfft(x, /, *, n=None, axis=-1, norm="backward")
        fft.rfftn(x, /, *, s=None, axes=None, norm="backward")
        fft.irfftn(x, /, *, s=None, axes=None, norm="backward")
        fft.hfft(x, /, *, n=None, axis=-1, norm="backward")
        fft.ihfft(x, /, *, n=None, axis=-1, norm="backward")
        fft.fftfreq(n, /, *, d=1.0, dtype=None, device=None)
        fft.rfftfreq(n, /, *, d=1.0, dtype=None, device=None)
        fft.fftshift(x, /, *, axes=None)
        fft.ifftshift(x, /, *, axes=None)""",
}

CONSTANTS: Final = ("e", "inf", "nan", "newaxis", "pi")
DTYPES: Final = (
    *("bool", "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64"),
    *("float32", "float64", "complex64", "complex128"),
)
ATTRIBUTES: Final = ("dtype", "device", "mT", "ndim", "shape", "size", "T")
METHODS: Final = """
    __abs__ __add__ __and__ __array_namespace__ __bool__ __complex__ __dlpack__ __dlpack_device__
    __eq__ __float__ __floordiv__ __ge__ __getitem__ __gt__ __index__ __int__ __invert__ __le__
    __lshift__ __lt__ __matmul__ __mod__ __mul__ __ne__ __neg__ __or__ __pos__ __pow__ __rshift__
    __setitem__ __sub__ __truediv__ __xor__ __radd__ __rsub__ __rmul__ __rtruediv__ __rfloordiv__
    __rpow__ __rmod__ __rmatmul__ __rand__ __ror__ __rxor__ __rlshift__ __rrshift__ to_device
    """.split()  # noqa: SIM905 - fifty names

# What a function that is there cannot do yet.
_OF_REAL_MATRICES: Final = frozenset(
    f"linalg.{name}"
    for name in [
        "cholesky",
        "det",
        "eigh",
        "eigvalsh",
        "inv",
        "matrix_norm",
        "matrix_rank",
        "pinv",
        "qr",
        "slogdet",
        "solve",
        "svd",
        "svdvals",
    ]
)

_DEPARTURES: Final = (
    "Integers and floats combine, to the float's dtype; the standard leaves that open.",
    "The default dtype of floats is float32, and `set_default_dtype` changes it.",
    "float16 and, with ml-dtypes, bfloat16 are there beside the standard's dtypes.",
    "`x += y` makes the name `x` hold `x + y`, of the promoted dtype: tensors never change.",
    "`x[i] = v` raises for a leaf that requires gradients; `x.at[i].set(v)` is the way there.",
    "`broadcast_arrays` returns a tuple.",
    "`floor_divide` of an infinity is NaN, as in Python; the standard allows both.",
    "Functions whose shapes depend on data raise in compiled functions.",
)
"""What the standard leaves open or says otherwise, and what is done here."""


class Row(NamedTuple):
    """One function of the standard."""

    family: str
    name: str
    signature: str

    def found(self) -> Callable[..., Any] | None:
        """Return isograd's function of that name, if there is one."""
        out: Any = ig
        for part in self.name.split("."):
            out = getattr(out, part, None)
        return out


def _rows() -> Iterator[Row]:
    for family, text in _FAMILIES.items():
        for line in text.split("\n"):
            name, bracket, rest = line.strip().partition("(")
            if name:
                yield Row(family, name, bracket + rest)


ROWS: Final = tuple(_rows())
"""Every function, in the standard's order."""


def limit_of(name: str) -> str | None:
    """Return what a function does not do that the standard has, or None.

    >>> limit_of("add") is None
    True
    """
    if name in _OF_REAL_MATRICES:
        return "matrices of real numbers only, since complex ones have no derivatives yet"
    return None


def misfits(row: Row) -> list[str]:
    """Return how isograd's signature refuses what the standard's allows.

    >>> misfits(ROWS[0])
    []
    """
    wanted = inspect.signature(eval(f"lambda {row.signature[1:-1]}: 0")).parameters  # noqa: S307
    function = row.found()
    assert function is not None, row.name
    ours = inspect.signature(function).parameters
    by_position = [
        p for p in ours.values() if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)
    ]
    wrong: list[str] = []
    for place, (name, theirs) in enumerate(wanted.items()):
        mine = ours.get(name)
        if theirs.kind is not theirs.KEYWORD_ONLY and theirs.kind is not theirs.VAR_POSITIONAL:
            same_place = place < len(by_position) and (
                theirs.kind is theirs.POSITIONAL_ONLY or by_position[place].name == name
            )
            if not same_place:
                wrong.append(f"{name} cannot be passed as argument {place}")
                continue
            mine = by_position[place]
        if mine is None:
            wrong.append(f"there is no {name}")
            continue
        if theirs.kind is not theirs.POSITIONAL_ONLY and mine.kind is mine.POSITIONAL_ONLY:
            wrong.append(f"{name} cannot be passed by keyword")
        if theirs.default is not theirs.empty and mine.default != theirs.default:
            wrong.append(f"{name} is {mine.default!r} by default, not {theirs.default!r}")
    needless = [
        name
        for name, p in ours.items()
        if name not in wanted and p.default is p.empty and p.kind is p.KEYWORD_ONLY
    ]
    return wrong + [f"{name} is demanded" for name in needless]


def list_as_markdown() -> str:
    """Return the list of the standard's names, with what a function cannot do yet.

    >>> "| `abs` | elementwise | yes |" in list_as_markdown()
    True
    """
    others = [("constant", CONSTANTS), ("dtype", DTYPES), ("method", METHODS)]
    names = [(row.name, row.family, row.signature) for row in ROWS]
    names += [(name, family, "") for family, group in others for name in group]
    lines = [
        "# The array API standard, name by name",
        "",
        "`isograd`, which is also what `x.__array_namespace__()` returns, has all "
        f"{len(names)} names of the standard's version {ig.__array_api_version__}.",
        "",
        "| name | family | is there |",
        "|---|---|---|",
    ]
    for name, family, _ in names:
        limit = limit_of(name)
        lines.append(f"| `{name}` | {family} | {'yes' if limit is None else f'for {limit}'} |")
    lines += ["", "Where the standard leaves a choice, or isograd departs from it:", ""]
    lines += [f"- {departure}" for departure in _DEPARTURES]
    return "\n".join([*lines, ""])
