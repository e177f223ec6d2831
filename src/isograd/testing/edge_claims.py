"""Rows of the edge policy that are not a value. Each function returns what is wrong."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import numpy as np

import isograd as ig
from isograd.core.errors import AutodiffError, IndexOutOfRangeError, NumericsWarning, ShapeError

__all__ = ["differs", "first", "raises", "tensor"]

Array = Any


def raises(fn: Callable[[], Any], kind: type[Exception], *fragments: str) -> str:
    """Call a function that must fail, and return what is wrong with how it does."""
    try:
        fn()
    except kind as error:
        lost = [part for part in fragments if part not in str(error)]
        return f"the message lacks {lost}: {error}" if lost else ""
    except Exception as error:  # the wrong class is a finding, not a crash of the checker
        return f"{type(error).__name__} where {kind.__name__} was due: {error}"
    return f"nothing was raised where {kind.__name__} was due"


def first(*findings: str) -> str:
    """Return the first finding that is not empty."""
    return next((finding for finding in findings if finding), "")


def tensor(values: Any, dtype: str, *, requires_grad: bool = False) -> Any:
    """Make a tensor of nested lists or an array."""
    return ig.tensor(np.asarray(values, dtype), requires_grad=requires_grad)


def differs(what: str, got: Any, wanted: Any) -> str:
    """Return what is wrong with a value, if it is."""
    return "" if got == wanted else f"{what}: {got} where {wanted} is right"


def take_with_duplicates(x: Any) -> Any:
    """Take elements 0, 0 and 1."""
    return ig.take(x, ig.tensor([0, 0, 1]), axis=0)


def lint_names_the_operation(dtype: str) -> str:
    """Check that the lint names ``sqrt`` and the ``where`` that hides its infinite derivative."""
    x = tensor([0.0, 4.0], dtype, requires_grad=True)
    with warnings.catch_warnings(record=True) as caught, ig.lint():
        warnings.simplefilter("always")
        ig.where(x > 0, ig.sqrt(x), 0.0).sum().backward()
    texts = [str(w.message) for w in caught if issubclass(w.category, NumericsWarning)]
    named = [text for text in texts if "sqrt" in text and "the `where` at " in text]
    return "" if named else f"no warning named sqrt and the where; there were {texts}"


def index_errors(dtype: str) -> str:
    """Check that an index out of range says where, and that nothing is written."""
    x = tensor([1.0, 2.0, 3.0], dtype)
    before = x.numpy().copy()
    bad = ig.tensor([0, 7])
    values = tensor([9.0, 9.0], dtype)
    says = ("7", "axis 0", "size 3")
    wrong = first(
        raises(lambda: ig.take(x, bad, axis=0), IndexOutOfRangeError, *says),
        raises(lambda: x[bad], IndexOutOfRangeError, *says),
        raises(lambda: x[5], IndexError, "5", "axis 0", "size 3"),
        raises(lambda: x.at[bad].set(values), IndexOutOfRangeError, *says),
        raises(lambda: x.at[bad].add(values), IndexOutOfRangeError, *says),
    )
    return wrong or (
        "" if np.array_equal(x.numpy(), before) else "an index out of range changed the tensor"
    )


def empty_batch(dtype: str) -> str:
    """Check that a batch of 0 rows gives right shapes and zero parameter gradients."""
    model = ig.nn.Linear(3, 2).to(dtype)
    functional = ig.nn.functional
    x = tensor(np.zeros((0, 3)), dtype)
    out = model(x)
    if out.shape != (0, 2):
        return f"linear returned shape {out.shape} where (0, 2) is right"
    losses = (
        lambda: functional.cross_entropy(
            model(x), ig.tensor(np.zeros(0, np.int64)), reduction="sum"
        ),
        lambda: functional.mse_loss(model(x), tensor(np.zeros((0, 2)), dtype), reduction="sum"),
        lambda: model(x).sum(),
    )
    for number, loss in enumerate(losses):
        model.zero_grad()
        loss().backward()
        for name, parameter in model.named_parameters():
            gradient = None if parameter.grad is None else parameter.grad.numpy()
            if gradient is None or gradient.shape != parameter.shape or np.any(gradient != 0):
                wanted = f"zeros of {parameter.shape} are right"
                return f"loss {number}: the gradient of {name} is {gradient} where {wanted}"
    return ""


def integer_leaf(dtype: str) -> str:
    """Check that integers and booleans cannot require gradients; the message names the dtype."""
    return first(
        raises(lambda: ig.tensor([1, 2], requires_grad=True), TypeError, "int64"),
        raises(lambda: ig.tensor([True]).requires_grad_(), TypeError, "bool"),
        raises(lambda: ig.nn.Parameter(ig.tensor([1])), TypeError, "int64"),
        raises(lambda: ig.grad(ig.square)(ig.tensor(1)), TypeError, "int64"),
    )


def changed_array(dtype: str) -> str:
    """Check that changing a NumPy array after `asarray` never changes a gradient."""
    owned = np.array([1.0, 2.0], dtype)
    t = ig.asarray(owned)
    x = tensor([3.0, 4.0], dtype, requires_grad=True)
    loss = (x * t * t).sum()
    try:
        owned[:] = 100.0
    except ValueError:
        return ""
    loss.backward()
    return differs("gradient", x.grad.tolist(), [1.0, 4.0])


def backward_errors(dtype: str) -> str:
    """Check the errors of `backward`."""

    def twice() -> None:
        x = tensor([1.0, 2.0], dtype, requires_grad=True)
        y = ig.exp(x).sum()
        y.backward()
        y.backward()

    x = tensor([1.0, 2.0], dtype, requires_grad=True)
    y = x * 2.0
    return first(
        raises(twice, AutodiffError, "backward", "retain_graph"),
        raises(y.backward, AutodiffError, "backward", "(2,)", "sum()"),
        raises(
            lambda: y.backward(ig.ones((3,), dtype=dtype)), ShapeError, "backward", "(3,)", "(2,)"
        ),
        raises(lambda: tensor([1.0], dtype).backward(), AutodiffError, "backward", "requires_grad"),
        "" if x.grad is None else "a failed backward left a gradient",
    )


def long_chain(dtype: str) -> str:
    """Check a chain of 50 000 operations: no recursion, exact result."""
    x = tensor(1.0, dtype, requires_grad=True)
    y = x
    for _ in range(25_000):
        y = (y + 1.0) - 1.0
    y.backward()
    return differs("value and gradient", (y.item(), x.grad.item()), (1.0, 1.0))


def many_uses(dtype: str) -> str:
    """Check that one tensor used 1000 times gets the gradient 1000."""
    x = tensor(1.0, dtype, requires_grad=True)
    total = x * 0.0
    for _ in range(1000):
        total = total + x
    total.backward()
    return differs("gradient", x.grad.item(), 1000.0)


def subnormals(dtype: str) -> str:
    """Check that float32 subnormal numbers are neither flushed on input nor on output."""
    small = np.array([1e-40, -3e-42, 1.4e-45], np.float32)
    x = ig.tensor(small)
    results = {
        "x * 1": (x * 1.0).numpy(),
        "x + 0": (x + 0.0).numpy(),
        "abs(x) with its sign": (ig.copysign(ig.abs(x), x)).numpy(),
        "(2**20 * x) / 2**20": ((x * 2.0**20) / 2.0**20).numpy(),
        "relu(x) - relu(-x)": (ig.nn.functional.relu(x) - ig.nn.functional.relu(-x)).numpy(),
        "sum of each": ig.sum(ig.reshape(x, (3, 1)), axis=1).numpy(),
        "matmul with 1": ig.matmul(ig.reshape(x, (3, 1)), ig.ones((1, 1))).numpy()[:, 0],
    }
    return first(*(differs(what, got.tolist(), small.tolist()) for what, got in results.items()))


def matmul_shapes(dtype: str) -> str:
    """Check shapes and gradients of matmul with broadcast batches and with an inner length of 0."""
    for left, right in (
        ((2, 1, 3, 4), (5, 4, 6)),
        ((2, 0), (0, 3)),
        ((0, 2), (2, 3)),
        ((4,), (2, 4, 3)),
        ((2, 3, 4), (4,)),
    ):
        x = tensor(np.ones(left), dtype, requires_grad=True)
        y = tensor(np.ones(right), dtype, requires_grad=True)
        out = ig.matmul(x, y)
        wanted = np.matmul(np.ones(left), np.ones(right))
        if out.shape != wanted.shape or not np.array_equal(out.numpy(), wanted):
            return f"{left} @ {right}: shape {out.shape}, NumPy has {wanted.shape}"
        out.sum().backward()
        rows = out.size // max(np.prod(left[:-1], dtype=int), 1) if x.size else 0
        if (
            x.grad.shape != left
            or y.grad.shape != right
            or (x.size and not np.all(x.grad.numpy() == rows))
        ):
            shapes = f"shapes {x.grad.shape}, {y.grad.shape}"
            return f"{left} @ {right}: gradients of {shapes}, {x.grad.tolist()}"
    return ""


def label_error(dtype: str) -> str:
    """Check that a label out of range is named."""
    logits = tensor([[1.0, 2.0, 3.0]], dtype)
    return raises(
        lambda: ig.nn.functional.cross_entropy(logits, ig.tensor([7])),
        IndexError,
        "cross_entropy",
        "7",
        "3",
    )


def dropout_error(dtype: str) -> str:
    """Check that a probability outside [0, 1] is refused."""
    x = tensor([1.0], dtype)
    return first(
        raises(lambda: ig.nn.functional.dropout(x, 1.5), ValueError, "1.5"),
        raises(lambda: ig.nn.Dropout(1.5), ValueError, "1.5"),
    )


def adam_step(dtype: str) -> str:
    """Check the first step of Adam and AdamW."""
    optim = ig.optim
    for kind, decay, wanted in ((optim.Adam, 0.0, 0.90000001), (optim.AdamW, 0.01, 0.89900001)):
        p = ig.nn.Parameter(tensor(1.0, dtype))
        optimizer = kind([p], lr=0.1, eps=1e-8, weight_decay=decay)
        p.grad = tensor(0.1, dtype)
        optimizer.step()
        tolerance = 1e-12 if dtype == "float64" else 1e-6
        if abs(p.item() - wanted) > tolerance:
            return f"{kind.__name__}: {p.item()!r} where {wanted} is right"
    return ""
