"""Mistakes are answered in the name of the function that was called, not of one inside it."""

from __future__ import annotations

from collections.abc import Callable

import pytest

import isograd as ig
from isograd import nn

F = nn.functional

MISTAKES: dict[str, tuple[Callable[[], object], type[Exception], str]] = {
    "a value that does not broadcast to what is indexed": (
        lambda: ig.ones((2, 2)).at[0].set(ig.ones(3)),
        ig.ShapeError,
        r"x\.at: a value of shape \(3,\) does not fit into the \(2,\)",
    ),
    "a value larger than what is indexed": (
        lambda: ig.ones((2, 2)).at[0].add(ig.ones((3, 2))),
        ig.ShapeError,
        r"x\.at: a value of shape \(3, 2\) does not fit into the \(2,\)",
    ),
    "two open lengths": (
        lambda: ig.reshape(ig.ones(4), (-1, -1)),
        ig.ShapeError,
        r"reshape: shape \(-1, -1\) leaves several lengths open; use -1 for one",
    ),
    "labels as floats": (
        lambda: F.cross_entropy(ig.ones((2, 3)), ig.ones(2)),
        ig.ShapeError,
        r"cross_entropy: .* this one has shape \(2,\); reshape it, or convert labels with \.astype",
    ),
    "a tangent of another shape": (
        lambda: ig.jvp(ig.exp, (ig.ones(2),), (ig.ones(3),)),
        ig.ShapeError,
        r"jvp: the tangent has shape \(3,\), the primal \(2,\)",
    ),
    "a tensor where a tuple of arguments is meant": (
        lambda: ig.jvp(ig.exp, ig.ones(2), ig.ones(2)),
        TypeError,
        r"jvp: primals is a Tensor; pass a tuple .* such as \(x,\)",
    ),
    "the same for a product with the Hessian": (
        lambda: ig.hvp(lambda x: (x * x).sum(), (ig.ones(2),), ig.ones(2)),
        TypeError,
        r"hvp: tangents is a Tensor; pass a tuple",
    ),
    "an integer leaf": (
        lambda: ig.tensor([1, 2], requires_grad=True),
        ig.DTypeError,
        r"tensor: data of dtype int64 have no gradient; pass dtype=isograd\.float32",
    ),
    "a fill value that is no number": (
        lambda: ig.full((2,), "a", dtype=ig.float32),
        ig.DTypeError,
        "full: fill_value is 'a'; pass a number",
    ),
    "an order of a norm that is no number": (
        lambda: ig.linalg.vector_norm(ig.ones(2), ord="fro"),
        TypeError,
        "vector_norm: ord='fro' is no number",
    ),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_the_message_names_the_function_and_the_way_out(mistake: str) -> None:
    call, error, text = MISTAKES[mistake]
    with pytest.raises(error, match=text):
        call()
