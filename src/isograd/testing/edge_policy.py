"""The edge policy as data: what happens at kinks, ties, infinities and empty input.

`POLICIES` states the rules, `EDGE_ROWS` the cases. ``isograd doctor --edge-policy`` prints both,
and every row is checked on every backend, in float64 and float32, in every memory layout that
keeps its meaning, and compiled.
"""

# pyright: reportUnknownLambdaType=false, reportUnknownArgumentType=false
# pyright: reportUnknownVariableType=false

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

import isograd as ig
from isograd.testing import edge_claims as claim
from isograd.testing.edge_layers import LAYER_ROWS
from isograd.testing.edge_matrices import MATRIX_ROWS
from isograd.testing.edge_spec import EdgeCase, EdgeRow

__all__ = ["EDGE_ROWS", "POLICIES", "EdgeCase", "EdgeRow"]

Array = Any
Function = Callable[..., Any]

INF, NAN = math.inf, math.nan

POLICIES: Mapping[str, str] = {
    "P1": "at a kink the derivative is the subgradient of minimum norm: 0 for abs, relu, norm, std",
    "P2": "ties in max, min, maximum, minimum and the inf-norm share the gradient evenly",
    "P3": "selecting operations are stable and send the gradient to the lowest index chosen",
    "P4": "the closed interval counts as inside: the gradient of clip is 1 at its bounds",
    "P5": "under nan_safe() a zero cotangent never creates NaN; else IEEE holds, and lint() warns",
    "P6": "IEEE results are never silently replaced, unless a row says so",
}
"""The rules by name."""


def _fn(name: str, *args: Any, **kwargs: Any) -> Function:
    """Return a public function by its dotted name, with further arguments."""

    def call(*tensors: Any) -> Any:
        found: Any = ig
        for part in name.split("."):
            found = getattr(found, part)
        return found(*tensors, *args, **kwargs)

    return call


def _each(fn: Function, x: Any, value: Any, slope: Any = None, **more: Any) -> EdgeCase:
    """Write an elementwise case."""
    return _case(fn, x, value, slope, elementwise=True, **more)


def _rows(fn: Function, x: Any, value: Any, slope: Any = None, **more: Any) -> EdgeCase:
    """Write a case of a matrix whose rows are computed alone."""
    return _case(fn, x, value, slope, rows=True, **more)


def _case(fn: Function, x: Any, value: Any, slope: Any = None, **more: Any) -> EdgeCase:
    return EdgeCase(fn, (x,), value, None if slope is None else (slope,), **more)


def _power(exponent: float, slope: float, value: float) -> tuple[EdgeCase, ...]:
    """Return x**e at 0, with a number and with an array as the exponent."""

    def by_array(x: Any) -> Any:
        return x ** ig.tensor(np.asarray(exponent, x.dtype))

    fns: tuple[Function, ...] = (lambda x: x**exponent, by_array)
    return tuple(_each(fn, [0.0], [value], [slope]) for fn in fns)


def _safe_root(x: Any) -> Any:
    return ig.where(x > 0, ig.sqrt(x), 0.0)


def _cross_entropy(targets: Sequence[int], **static: Any) -> Function:
    def loss(logits: Any) -> Any:
        labels = ig.tensor(list(targets))
        return ig.nn.functional.cross_entropy(logits, labels, ignore_index=-1, **static)

    return loss


_F = "nn.functional."
_ZEROS = [0.0, 0.0, 0.0]

EDGE_ROWS: tuple[EdgeRow, ...] = (
    EdgeRow(
        "where(x>0, sqrt(x), 0) at [0, 4]",
        "gradient [0, .25] under nan_safe(); [nan, .25] and the lint without",
        "P5",
        (
            _each(_safe_root, [0.0, 4.0], [0.0, 2.0], [0.0, 0.25], nan_safe=True),
            _each(_safe_root, [0.0, 4.0], [0.0, 2.0], [NAN, 0.25]),
        ),
        (claim.lint_names_the_operation,),
    ),
    EdgeRow(
        "norm(0-vector), and norm(x)**2 at 0",
        "value 0, gradient a 0-vector",
        "P1",
        (
            _case(_fn("norm"), _ZEROS, 0.0, _ZEROS),
            _case(lambda x: ig.norm(x) ** 2, _ZEROS, 0.0, _ZEROS),
            _rows(
                _fn("norm", axis=1), [_ZEROS, [0.0, 3.0, 4.0]], [0.0, 5.0], [_ZEROS, [0, 0.6, 0.8]]
            ),
        ),
    ),
    EdgeRow("sqrt(0)", "gradient +inf", "P6", (_each(_fn("sqrt"), [0.0], [0.0], [INF]),)),
    EdgeRow(
        "abs(0), relu(0), relu(-0.)",
        "gradient 0",
        "P1",
        (
            _each(_fn("abs"), [0.0, -0.0], [0.0, 0.0], [0.0, 0.0]),
            _each(_fn(_F + "relu"), [0.0, -0.0], [0.0, 0.0], [0.0, 0.0]),
        ),
    ),
    EdgeRow(
        "max([2, 2, 1]), with and without axis; min likewise",
        "gradient [.5, .5, 0]",
        "P2",
        (
            _case(_fn("max"), [2.0, 2.0, 1.0], 2.0, [0.5, 0.5, 0.0]),
            _rows(_fn("max", axis=-1), [[2.0, 2.0, 1.0]], [2.0], [[0.5, 0.5, 0.0]]),
            _rows(_fn("min", axis=-1), [[3.0, 0.0, 0.0]], [0.0], [[0.0, 0.5, 0.5]]),
            _case(
                _fn("min", axis=0), [[1.0, 2.0], [1.0, 0.0]], [1.0, 0.0], [[0.5, 0.0], [0.5, 1.0]]
            ),
        ),
    ),
    EdgeRow(
        "the inf-norm of [2, -2, 1]",
        "2, gradient [.5, -.5, 0]",
        "P2",
        (_case(_fn("linalg.vector_norm", ord=INF), [2.0, -2.0, 1.0], 2.0, [0.5, -0.5, 0.0]),),
    ),
    EdgeRow(
        "maximum(x, 1) at 1; maximum(x, x) at 3",
        "gradient .5; 1",
        "P2",
        (
            _each(_fn("maximum", 1.0), [1.0], [1.0], [0.5]),
            _each(_fn("minimum", 1.0), [1.0], [1.0], [0.5]),
            _each(lambda x: ig.maximum(x, x), [3.0], [3.0], [1.0]),
        ),
    ),
    EdgeRow(
        "max([nan, 1]); argmax",
        "nan; the index of the first NaN",
        "P3",
        (
            _case(_fn("max"), [NAN, 1.0], NAN),
            _rows(_fn("min", axis=1), [[1.0, NAN], [1.0, 2.0]], [NAN, 1.0]),
            _case(_fn("argmax"), [1.0, NAN, 5.0, NAN], 1),
            _rows(_fn("argmin", axis=-1), [[1.0, NAN, 0.0], [3.0, 1.0, 1.0]], [1, 1]),
        ),
    ),
    EdgeRow(
        "sort([2, 2, 1])[1], the first of two equal elements",
        "2, gradient [1, 0, 0]",
        "P3",
        (_case(lambda x: ig.sort(x)[1], [2.0, 2.0, 1.0], 2.0, [1.0, 0.0, 0.0]),),
    ),
    EdgeRow(
        "clip(x, 0, 1) at [0, .5, 1]",
        "gradient [1, 1, 1]",
        "P4",
        (
            _each(_fn("clip", 0.0, 1.0), [0.0, 0.5, 1.0], [0.0, 0.5, 1.0], [1.0, 1.0, 1.0]),
            _each(_fn("clip", 0.0, 1.0), [-0.5, 2.0, NAN], [0.0, 1.0, NAN]),
        ),
    ),
    EdgeRow("x**0 and x**array(0.) at 0", "1, gradient 0", "", _power(0, 0.0, 1.0)),
    EdgeRow(
        "d/dx x**e at 0 for e > 1, = 1, in (0, 1), = 0, < 0",
        "0, 1, +inf, 0, -inf",
        "P6",
        (
            *_power(3.0, 0.0, 0.0),
            *_power(2, 0.0, 0.0),
            *_power(1.5, 0.0, 0.0),
            *_power(1.0, 1.0, 0.0),
            *_power(1, 1.0, 0.0),
            *_power(0.5, INF, 0.0),
            *_power(0.0, 0.0, 1.0),
            *_power(-1.0, -INF, INF),
        ),
    ),
    EdgeRow(
        "array exponent 2 at base -3",
        "gradient -6, no NaN",
        "",
        (_each(lambda x: x ** ig.full_like(x, 2.0), [-3.0], [9.0], [-6.0]),),
    ),
    EdgeRow(
        "logsumexp([-inf, -inf]); ([-inf, 1]); ([inf, 1])",
        "-inf, gradient [0, 0]; 1, [0, 1]; inf, [1, 0]",
        "",
        (
            _case(_fn("logsumexp"), [-INF, -INF], -INF, [0.0, 0.0]),
            _case(_fn("logsumexp"), [-INF, 1.0], 1.0, [0.0, 1.0]),
            _case(_fn("logsumexp"), [INF, 1.0], INF, [1.0, 0.0]),
            _rows(
                _fn("logsumexp", axis=1),
                [[-INF, -INF], [-INF, 1.0], [INF, 1.0]],
                [-INF, 1.0, INF],
                [[0.0, 0.0], [0.0, 1.0], [1.0, 0.0]],
            ),
        ),
    ),
    EdgeRow(
        "softmax([1000, 1000, -inf])[0]",
        ".5, gradient [.25, -.25, 0]",
        "",
        (
            _rows(
                lambda x: ig.nn.functional.softmax(x, -1)[:, 0],
                [[1000.0, 1000.0, -INF]],
                [0.5],
                [[0.25, -0.25, 0.0]],
            ),
        ),
    ),
    EdgeRow(
        "softplus(+-1000), sigmoid(-1000), silu(-1000)",
        "gradient [1, 0]; 0; 0; no warnings",
        "",
        (
            _each(_fn(_F + "softplus"), [1000.0, -1000.0], [1000.0, 0.0], [1.0, 0.0]),
            _each(_fn(_F + "sigmoid"), [-1000.0, 1000.0], [0.0, 1.0], [0.0, 0.0]),
            _each(_fn(_F + "silu"), [-1000.0, 1000.0], [0.0, 1000.0], [0.0, 1.0]),
            _each(_fn(_F + "gelu"), [-1000.0, 1000.0], [0.0, 1000.0], [0.0, 1.0]),
        ),
    ),
    EdgeRow(
        "std of a constant; var of one value with correction 1",
        "0, gradient a 0-vector; NaN, gradient NaN, a warning",
        "P1",
        (
            _case(_fn("std"), [3.0, 3.0, 3.0], 0.0, _ZEROS),
            _rows(
                _fn("std", axis=1), [[1.0, 1.0], [0.0, 2.0]], [0.0, 1.0], [[0.0, 0.0], [-0.5, 0.5]]
            ),
            _case(_fn("var", correction=1.0), [3.0], NAN, [NAN], warns=True),
        ),
    ),
    EdgeRow(
        "prod([2, 0, 3, 4]), prod([2, 0, 0, 4])",
        "gradient [0, 24, 0, 0]; zeros",
        "",
        (
            _case(_fn("prod"), [2.0, 0.0, 3.0, 4.0], 0.0, [0.0, 24.0, 0.0, 0.0]),
            _case(_fn("prod"), [2.0, 0.0, 0.0, 4.0], 0.0, [0.0, 0.0, 0.0, 0.0]),
            _rows(
                _fn("prod", axis=1), [[2.0, 0.0], [0.0, 0.0]], [0.0, 0.0], [[0.0, 2.0], [0.0, 0.0]]
            ),
        ),
    ),
    EdgeRow(
        "cumulative_prod at [0, 2, 3]; [2, 0, 0, 3]",
        "gradient [9, 0, 0]; [1, 2, 0, 0]",
        "",
        (
            _case(_fn("cumulative_prod"), [0.0, 2.0, 3.0], _ZEROS, [9.0, 0.0, 0.0]),
            _rows(
                _fn("cumulative_prod", axis=1),
                [[2.0, 0.0, 0.0, 3.0]],
                [[2.0, 0.0, 0.0, 0.0]],
                [[1.0, 2.0, 0.0, 0.0]],
            ),
        ),
    ),
    EdgeRow(
        "acos(1), log1p(-1)",
        "gradient -inf; inf",
        "P6",
        (
            _each(_fn("acos"), [1.0], [0.0], [-INF]),
            _each(_fn("log1p"), [-1.0], [-INF], [INF]),
        ),
    ),
    EdgeRow(
        "sinc(0), and at other integers",
        "1, gradient 0; exactly 0",
        "",
        (
            _each(_fn("sinc"), [0.0], [1.0], [0.0]),
            _each(_fn("sinc"), [1.0, -2.0], [0.0, 0.0], [-1.0, -0.5]),
        ),
    ),
    EdgeRow(
        "xlogy(0, 0), xlog1py(0, -1)",
        "0, gradients 0",
        "",
        (
            EdgeCase(_fn("xlogy"), ([0.0], [0.0]), [0.0], ([0.0], [0.0])),
            EdgeCase(_fn("xlog1py"), ([0.0], [-1.0]), [0.0], ([0.0], [0.0])),
        ),
    ),
    EdgeRow(
        "lgamma and digamma at 0 and -1; erfinv(1)",
        "inf; -inf and NaN; inf, gradient inf",
        "P6",
        (
            _each(_fn("lgamma"), [0.0, -1.0], [INF, INF], [-INF, NAN]),
            _each(_fn("digamma"), [0.0, -1.0], [-INF, NAN], [INF, INF]),
            _each(_fn("erfinv"), [1.0, -1.0], [INF, -INF], [INF, INF]),
        ),
    ),
    EdgeRow(
        "median([3, 1, 2, 2]); median([2, 2, 2])",
        "2, gradient [0, 0, .5, .5]; [0, 1, 0]",
        "P3",
        (
            _case(_fn("median"), [3.0, 1.0, 2.0, 2.0], 2.0, [0.0, 0.0, 0.5, 0.5]),
            _case(_fn("median"), [2.0, 2.0, 2.0], 2.0, [0.0, 1.0, 0.0]),
        ),
    ),
    EdgeRow(
        "nansum, nanmax, nan_to_num of [nan, 1]",
        "gradient [0, 1]",
        "",
        (
            _case(_fn("nansum"), [NAN, 1.0], 1.0, [0.0, 1.0]),
            _case(_fn("nanmax"), [NAN, 1.0], 1.0, [0.0, 1.0]),
            _each(_fn("nan_to_num"), [NAN, 1.0], [0.0, 1.0], [0.0, 1.0]),
        ),
    ),
    EdgeRow(
        "x[[0, 0, 1]], take with duplicates",
        "gradient [2, 1]",
        "",
        (
            _case(lambda x: x[[0, 0, 1]], [5.0, 7.0], [5.0, 5.0, 7.0], [2.0, 1.0]),
            _case(claim.take_with_duplicates, [5.0, 7.0], [5.0, 5.0, 7.0], [2.0, 1.0]),
        ),
    ),
    EdgeRow(
        "an index out of range",
        "IndexError with axis, size and index; nothing written",
        claims=(claim.index_errors,),
    ),
    EdgeRow(
        "broadcast (3, 1) + (4,)",
        "gradients of shapes (3, 1) and (4,)",
        "",
        (
            EdgeCase(
                _fn("add"),
                ([[1.0], [2.0], [3.0]], [10.0, 20.0, 30.0, 40.0]),
                [[11.0, 21.0, 31.0, 41.0], [12.0, 22.0, 32.0, 42.0], [13.0, 23.0, 33.0, 43.0]],
                ([[4.0], [4.0], [4.0]], [3.0, 3.0, 3.0, 3.0]),
            ),
        ),
    ),
    EdgeRow(
        "a batch of 0 through linear and losses",
        "right shapes, zero parameter gradients",
        claims=(claim.empty_batch,),
    ),
    EdgeRow(
        "an integer or bool leaf with requires_grad",
        "TypeError that names the dtype",
        claims=(claim.integer_leaf,),
    ),
    EdgeRow(
        "a NumPy array changed by its owner after asarray",
        "gradients unaffected, or an error",
        claims=(claim.changed_array,),
    ),
    EdgeRow(
        "backward twice; non-scalar without a seed; wrong seed shape",
        "clear errors",
        claims=(claim.backward_errors,),
    ),
    EdgeRow(
        "a chain of 50 000 operations; one tensor used 1000 times",
        "no recursion error; exact",
        claims=(claim.long_chain, claim.many_uses),
    ),
    EdgeRow(
        "float16 mean of four 60000; norm of four 300",
        "60000; 600 with gradient .5",
        "",
        (
            _case(_fn("mean"), [60000.0] * 4, 60000.0, [0.25] * 4, dtype="float16"),
            _case(_fn("norm"), [300.0] * 4, 600.0, [0.5] * 4, dtype="float16"),
        ),
    ),
    EdgeRow("float32 subnormals", "kept", "P6", claims=(claim.subnormals,)),
    EdgeRow(
        "matmul 1-d@1-d, 2-d@1-d, 1-d@2-d, (2,1,3,4)@(5,4,6), K = 0",
        "NumPy's shapes; gradients reduced over broadcast batches",
        "",
        (
            EdgeCase(_fn("matmul"), ([1.0, 2.0], [3.0, 4.0]), 11.0, ([3.0, 4.0], [1.0, 2.0])),
            EdgeCase(
                _fn("matmul"),
                ([[1.0, 2.0], [3.0, 4.0]], [5.0, 6.0]),
                [17.0, 39.0],
                ([[5.0, 6.0], [5.0, 6.0]], [4.0, 6.0]),
            ),
            EdgeCase(
                _fn("matmul"),
                ([5.0, 6.0], [[1.0, 2.0], [3.0, 4.0]]),
                [23.0, 34.0],
                ([3.0, 7.0], [[5.0, 5.0], [6.0, 6.0]]),
            ),
        ),
        (claim.matmul_shapes,),
    ),
    EdgeRow(
        "cross-entropy logits [[1,2,3],[3,1,0]], targets [2, ignored], smoothing .1",
        ".50760596; row 0 [.05669724, .21139514, -.26809238], row 1 exactly 0",
        "",
        (
            _case(
                _cross_entropy([2, -1], label_smoothing=0.1),
                [[1.0, 2.0, 3.0], [3.0, 1.0, 0.0]],
                0.50760596,
                [[0.05669724, 0.21139514, -0.26809238], [0.0, 0.0, 0.0]],
                tolerance=1e-7,
            ),
        ),
    ),
    EdgeRow(
        "astype to int8 of [-128, -1.9, -.5, .5, 1.9, 127]",
        "towards 0: [-128, -1, 0, 0, 1, 127]; no value is promised for NaN, nor beyond the "
        "integers of the dtype (NumPy wraps or not, CUDA takes the nearest), so clip before",
        "",
        (
            _each(
                lambda x: ig.astype(x, ig.int8),
                [-128.0, -1.9, -0.5, 0.5, 1.9, 127.0],
                np.asarray([-128, -1, 0, 0, 1, 127], np.int8),
            ),
        ),
    ),
    EdgeRow(
        "cross-entropy with all targets ignored, mean",
        "0 with a warning, gradient 0",
        "",
        (_case(_cross_entropy([-1]), [[1.0, 2.0]], 0.0, [[0.0, 0.0]], warns=True),),
    ),
    EdgeRow("cross-entropy with label 7 of 3", "IndexError", claims=(claim.label_error,)),
    EdgeRow(
        "BCE-with-logits x = [1000, -1000, 0], t = [0, 0, 1]",
        "[1000, 0, .69314718]; gradient [1, 0, -.5]",
        "",
        (
            EdgeCase(
                _fn(_F + "binary_cross_entropy_with_logits", reduction="none"),
                ([1000.0, -1000.0, 0.0], [0.0, 0.0, 1.0]),
                [1000.0, 0.0, math.log(2)],
                ([1.0, 0.0, -0.5], [-1000.0, 1000.0, 0.0]),
            ),
        ),
    ),
    EdgeRow(
        "dropout p = 1; p = 0; p = 1.5",
        "zeros and gradient 0; identity; ValueError",
        "",
        (
            _each(_fn(_F + "dropout", 1.0), [1.0, INF, -2.0], _ZEROS, _ZEROS),
            _each(_fn(_F + "dropout", 0.0), [1.0, INF, -2.0], [1.0, INF, -2.0], [1.0] * 3),
        ),
        (claim.dropout_error,),
    ),
    EdgeRow(
        "Adam step 1: p=1, g=.1, lr=.1, eps=1e-8; AdamW with decay .01",
        ".90000001; .89900001",
        claims=(claim.adam_step,),
    ),
    *MATRIX_ROWS,
    *LAYER_ROWS,
)
"""Every row that concerns operations that exist."""
