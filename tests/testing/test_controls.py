"""A kit that cannot fail proves nothing: each planted mistake is found by its check."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import isograd as ig
from isograd.testing.edge_checks import check_row
from isograd.testing.edge_policy import EDGE_ROWS, EdgeCase, EdgeRow
from isograd.testing.harness import check_op
from isograd.testing.op_db import OP_DB, OpSpec
from isograd.testing.scheduled import ScheduledBackend

Array = Any
Kernel = Callable[..., Any]
Plant = Callable[[str, Callable[[Kernel], Kernel]], Any]


def row(name: str) -> OpSpec:
    return next(spec for spec in OP_DB if spec.name == name)


def wrong(kernel: Callable[..., Any]) -> Callable[[Kernel], Kernel]:
    """Return a change that ignores the right kernel."""
    return lambda right: kernel


def after(change: Callable[[Array], Array]) -> Callable[[Kernel], Kernel]:
    """Return a change of the result."""
    return lambda right: lambda *xs, **static: change(right(*xs, **static))


def scaled(out: Array, by: float) -> Array:
    return (out * (1.0 + by)).astype(out.dtype)


def one_bit_up(out: Array) -> Array:
    return np.nextafter(out, np.inf) if out.dtype.kind == "f" else out


def drop_tail(right: Kernel) -> Kernel:
    """Forget the last elements of long rows, as an unrolled loop without a remainder does."""

    def kernel(x: Array, **static: Any) -> Array:
        return right(x[: x.size // 8 * 8] if x.ndim == 1 and x.size > 1000 else x, **static)

    return kernel


def drop_inner(right: Kernel) -> Kernel:
    def kernel(x: Array, y: Array) -> Array:
        k = x.shape[-1] // 4 * 4 if x.shape[-1] > 64 else x.shape[-1]
        return right(x[..., :k], y[..., :k, :])

    return kernel


def ignore_reversal(right: Kernel) -> Kernel:
    def kernel(x: Array) -> Array:
        return right(x[::-1] if x.ndim and x.strides[0] < 0 else x)

    return kernel


def write_input(right: Kernel) -> Kernel:
    def kernel(x: Array) -> Array:
        out = right(x)
        if x.size:
            x[...] = out
        return out

    return kernel


def remember(right: Kernel) -> Kernel:
    calls = iter(range(10**9))

    def kernel(x: Array) -> Array:
        return right(x) + np.asarray(next(calls) * 1e-9, x.dtype)

    return kernel


def wrap_indices(right: Kernel) -> Kernel:
    def kernel(x: Array, indices: Array, *, axis: int) -> Array:
        return np.take(x, indices, axis=axis, mode="wrap")

    return kernel


def last_of_ties(x: Array, *, axis: int, keepdims: bool) -> Array:
    out = x.shape[axis] - 1 - np.argmax(np.flip(x, axis), axis=axis)
    return np.expand_dims(out, axis) if keepdims else out


def halves_swapped(right: Kernel) -> Kernel:
    def kernel(key: Array, *, shape: tuple[int, ...], bits: int) -> Array:
        out = right(key, shape=shape, bits=bits)
        return out[..., ::-1] if bits == 32 and out.ndim else out

    return kernel


def no_interior(right: Kernel) -> Kernel:
    def kernel(x: Array, *, low: Any, high: Any, interior: Any, value: float) -> Array:
        spread = [max(n - 1, 0) * i for n, i in zip(x.shape, interior, strict=True)]
        wide = tuple(h + s for h, s in zip(high, spread, strict=True))
        return right(x, low=low, high=wide, interior=(0,) * x.ndim, value=value)

    return kernel


def unstable_softmax(x: Array, *, axis: int) -> Array:
    powers = np.exp(x)
    return powers / np.sum(powers, axis=axis, keepdims=True)


def naive_sum(x: Array, *, axis: tuple[int, ...], keepdims: bool) -> Array:
    out = x
    for i in axis:
        out = np.take(np.cumsum(out, axis=i, dtype=x.dtype), [-1] if x.shape[i] else [], axis=i)
    return out if keepdims else np.squeeze(out, axis)


def masked_nan(x: Array, y: Array) -> Array:
    return np.where(x >= y, x, y)


PLANTED: dict[str, tuple[str, str, Callable[[Kernel], Kernel]]] = {
    "a few units in the last place": ("exp", "forward", after(lambda out: scaled(out, 2e-6))),
    "one bit of an exact operation": ("add", "forward", after(one_bit_up)),
    "tail of a long sum": ("sum", "forward", drop_tail),
    "one accumulator": ("sum", "forward", wrong(naive_sum)),
    "tail of the inner axis": ("matmul", "forward", drop_inner),
    "dilation ignored": ("pad", "forward", no_interior),
    "random stream": ("random_bits", "forward", halves_swapped),
    "unstable softmax": ("softmax", "extreme", wrong(unstable_softmax)),
    "NaN swallowed": ("tanh", "extreme", after(np.nan_to_num)),
    "NaN lost in a comparison": ("maximum", "extreme", wrong(masked_nan)),
    "sign of zero": ("neg", "extreme", wrong(lambda x: (0 - x).astype(x.dtype))),
    "last of equal elements": ("argmax", "extreme", wrong(last_of_ties)),
    "stride ignored": ("square", "layouts", ignore_reversal),
    "input overwritten": ("sqrt", "purity", write_input),
    "state between calls": ("sin", "purity", remember),
    "index wrapped": ("take", "errors", wrap_indices),
    "wider dtype": ("exp", "inference", after(lambda out: out.astype(np.float64))),
    "gradient kernel": ("sigmoid_grad", "backends", wrong(lambda g, out: g * out)),
    "fused kernel of second order": ("tanh_grad", "second", wrong(lambda g, out: g * (1 - out))),
}  # fmt: skip


@pytest.mark.parametrize("what", PLANTED)
def test_a_planted_kernel_is_found(what: str, plant: Plant) -> None:
    primitive, check, change = PLANTED[what]
    op = "sigmoid" if primitive == "sigmoid_grad" else primitive
    op = "tanh" if primitive == "tanh_grad" else op
    backend = plant(primitive, change)
    right = list(check_op(row(op), check, "numpy"))
    assert right
    assert all(cell.ok for cell in right)
    found = [cell for cell in check_op(row(op), check, backend) if not cell.ok]
    assert found, f"{check} did not see it"
    assert found[0].backend == "planted"
    assert found[0].message


def test_a_result_that_depends_on_the_threads_is_found(plant: Plant) -> None:
    holder: list[Any] = []

    def change(right: Kernel) -> Kernel:
        return lambda x: right(x) * x.dtype.type(1.0 + 1e-6 * holder[0].threads)

    holder.append(plant("cos", change))
    cells = list(check_op(row("cos"), "threads", holder[0], ["float32"]))
    assert [cell.verdict for cell in cells] == ["fail"]
    assert "threads" in cells[0].message
    assert holder[0].threads == 1


def test_a_wrong_gradient_at_a_kink_is_found_by_the_edge_table(plant: Plant) -> None:
    backend = plant("relu_grad", wrong(lambda g, x: np.where(x < 0, 0, g).astype(g.dtype)))
    edge = next(r for r in EDGE_ROWS if "relu" in r.case)
    assert check_row(edge, backend, "float32").verdict == "fail"


@pytest.mark.parametrize(
    ("check", "backward"),
    [
        ("gradient", lambda x, g: (g * x,)),
        ("second", lambda x, g: (g * 2.0 * x.detach(),)),
        ("backends", lambda x, g: (g * 2.0 * (x + (0.0 if x.dtype == "float64" else 1e-3)),)),
    ],
)
def test_a_planted_derivative_is_found(check: str, backward: Any) -> None:
    planted = ig.custom_vjp(lambda x: x * x)
    planted.defvjp(lambda x: (x * x, x), backward)
    spec = dataclasses.replace(
        row("square"), fn=planted, primitive=False, dtypes=("float64", "float32")
    )
    cells = list(check_op(spec, check, "numpy"))
    assert "fail" in {cell.verdict for cell in cells}


def test_a_wrong_tangent_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    right = ig.jvp
    monkeypatch.setattr(
        ig,
        "jvp",
        lambda fn, primals, tangents: right(fn, primals, tuple(t * 1.0001 for t in tangents)),
    )
    assert [cell.verdict for cell in check_op(row("mul"), "jvp", "numpy")] == ["fail"]


def test_a_wrong_definition_of_a_fused_primitive_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ig.ops.PRIMITIVES["silu"], "decompose", lambda x: x * ig.exp(-ig.exp(-x)))
    assert "fail" in {cell.verdict for cell in check_op(row("silu"), "fused", "numpy")}


def test_a_dtype_that_should_be_refused_is_found() -> None:
    spec = dataclasses.replace(row("add"), dtypes=("float64",))
    assert [cell.verdict for cell in check_op(spec, "dtypes", "numpy")] == ["fail"]


def test_an_exception_is_a_failing_cell_that_names_it() -> None:
    def broken(x: ig.Tensor) -> ig.Tensor:
        raise RuntimeError("broken on purpose")

    spec = dataclasses.replace(row("neg"), fn=broken, dtypes=("float64",))
    (cell,) = check_op(spec, "forward", "numpy")
    assert (cell.verdict, cell.error) == ("fail", np.inf)
    assert "RuntimeError: broken on purpose" in cell.message


def test_an_accepted_departure_is_shown_with_its_reason(plant: Plant) -> None:
    from isograd.testing.op_db import Known

    known = Known("forward", "planted for this test", dtype="float32")
    spec = dataclasses.replace(row("exp"), known=(known,), dtypes=("float64", "float32"))
    backend = plant("exp", PLANTED["a few units in the last place"][2])
    verdicts = {
        cell.dtype: (cell.verdict, cell.message) for cell in check_op(spec, "forward", backend)
    }
    assert verdicts["float32"] == ("known", "planted for this test")
    assert verdicts["float64"][0] == "fail"


def test_a_wrong_program_is_seen_where_kernels_are_right() -> None:
    right = ScheduledBackend().kernel
    wrong = ScheduledBackend(lambda name: np.cos if name == "sin" else right(name))
    cells = list(check_op(row("sin"), "compiled", wrong, ["float32"]))
    assert [cell.verdict for cell in cells] == ["fail"]
    assert all(cell.ok for cell in check_op(row("sin"), "forward", wrong, ["float32"]))
    assert all(cell.ok for cell in check_op(row("sin"), "compiled", ScheduledBackend()))
    edge = EdgeRow("sin(0)", "", cases=(EdgeCase(ig.sin, ([0.0],), [0.0]),))
    assert check_row(edge, ScheduledBackend(), "float32").ok
    assert "compiled" in check_row(edge, wrong, "float32").sample
