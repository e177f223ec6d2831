"""How each primitive is applied to many examples at once, for `isograd.vmap`: a row each.

Operands that differ between examples have the axis of examples in front. A row says how the
primitive is called so that it computes all of them together:

- elementwise ones broadcast: the axis stays in front of all others
- ones that take any leading axes are called as they are, with all operands in front form
- ones with axes among their parameters count one axis more
- products, convolutions, indexing have functions that merge the axis into one that is there

A fused primitive without a row goes through its decomposition.
"""

from __future__ import annotations

from isograd.ops import primitives as p
from isograd.ops.batching import control
from isograd.ops.batching.contraction import (
    attention,
    conv,
    conv_input_grad,
    conv_weight_grad,
    linear,
    matmul,
)
from isograd.ops.batching.general import (
    counted,
    elementwise,
    in_rows,
    leading,
    shaped,
    update,
    widened_per_axis,
)
from isograd.ops.batching.indexing import put, take
from isograd.ops.batching.linalg import pinv, systems
from isograd.ops.batching.random import draw, dropout
from isograd.runtime.level import Batching
from isograd.runtime.library import library

__all__ = ["ROWS", "missing"]

ROWS: dict[str, Batching] = {
    # elementwise
    **{
        name: Batching(elementwise)
        for name in (
            *("neg", "abs", "sign", "square", "floor", "ceil", "trunc", "round", "exp", "expm1"),
            *("log", "log1p", "log2", "log10", "sqrt", "sin", "cos", "tan", "asin", "acos", "atan"),
            *("sinh", "cosh", "tanh", "asinh", "acosh", "atanh", "erf", "erfc", "erfinv"),
            *("lgamma", "digamma", "polygamma", "isnan", "isinf"),
            *("isfinite", "signbit", "bitwise_invert", "stop_gradient", "astype"),
            *("add", "sub", "mul", "div", "pow", "maximum", "minimum", "floor_divide", "remainder"),
            *("atan2", "hypot", "logaddexp", "copysign", "nextafter", "equal", "not_equal", "less"),
            *("less_equal", "greater", "greater_equal", "bitwise_and", "bitwise_or", "bitwise_xor"),
            *("bitwise_left_shift", "bitwise_right_shift", "where"),
            *("real", "imag", "conj", "complex"),
            *("relu", "sigmoid", "silu", "gelu", "softplus"),
        )
    },
    # parameters that count axes
    **{
        name: Batching(counted("axis"))
        for name in (
            *("sum", "prod", "max", "min", "any", "all", "argmax", "argmin", "cumsum", "cumprod"),
            *("argsort", "flip", "concat", "take_along_axis", "scatter_add_along_axis"),
            *("softmax", "log_softmax", "logsumexp", "softmax_grad", "log_softmax_grad"),
            *("standardize", "standardize_grad", "rfft", "irfft"),
        )
    },
    "fft": Batching(counted("axes")),
    # any leading axes, or operands of one shape
    **{
        name: Batching(leading)
        for name in (
            *("unfold", "fold", "max_pool", "max_pool_indices", "max_pool_grad", "window_sum"),
            *("window_spread", "relu_grad", "sigmoid_grad", "tanh_grad", "silu_grad", "gelu_grad"),
            *("cholesky", "eigh", "eigvalsh", "qr", "svd", "svdvals", "inv", "det", "cofactors"),
            *("slogdet", "expm", "lstm_cell", "lstm_cell_grad", "gru_cell", "gru_cell_grad"),
        )
    },
    # movement
    "reshape": Batching(shaped),
    "broadcast_to": Batching(shaped),
    "permute_dims": Batching(widened_per_axis(axes=None)),
    "slice": Batching(widened_per_axis(start=0, stop=None, step=1)),
    "pad": Batching(widened_per_axis(low=0, high=0, interior=0)),
    # indexing
    "take": Batching(take),
    "scatter_add": Batching(put),
    "index_set": Batching(put),
    # contraction
    "matmul": Batching(matmul),
    "linear": Batching(linear),
    "conv": Batching(conv),
    "conv_input_grad": Batching(conv_input_grad),
    "conv_weight_grad": Batching(conv_weight_grad),
    "attention": Batching(attention),
    "attention_grad": Batching(attention),
    # matrices beside right-hand sides and cutoffs
    "solve": Batching(systems),
    "solve_triangular": Batching(systems),
    "lstsq": Batching(systems),
    "pinv": Batching(pinv),
    # rows that are examples already
    "cross_entropy": Batching(in_rows),
    "cross_entropy_grad": Batching(in_rows),
    "sgd_update": Batching(update(1)),
    "adam_update": Batching(update(2)),
    # random keys
    "random_bits": Batching(draw, draws=True),
    "random_normal": Batching(draw, draws=True),
    "dropout": Batching(dropout, draws=True),
    # no tensor arguments
    "full": Batching(None),
    "arange": Batching(None),
}


def missing() -> list[str]:
    """Return the primitives that `isograd.vmap` cannot take.

    Examples
    --------
    >>> missing()
    []
    """
    return [
        name for name, prim in p.PRIMITIVES.items() if name not in ROWS and prim.decompose is None
    ]


def install() -> None:
    """Give each primitive its row."""
    for name, row in ROWS.items():
        p.PRIMITIVES[name].batching = row
    library.batched_scan = control.scan
    library.batched_cond = control.cond
