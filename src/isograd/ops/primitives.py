"""The primitives: every operation that a backend has kernels for, in one list.

Each name is bound to its `Primitive`; `PRIMITIVES` has them in this order. Derivatives stand in
`isograd.ops.derivatives`, what users call in the modules beside it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from isograd.core import dtypes
from isograd.ir import Aval, Primitive
from isograd.ops import infer

__all__ = ["PRIMITIVES"]

PRIMITIVES: dict[str, Primitive] = {}


def enter(
    name: str,
    infer: Callable[..., Any],
    *,
    decompose: Callable[..., Any] | None = None,
    multiple: bool = False,
    public: str | None = None,
) -> Primitive:
    """Make a primitive and enter it into the list."""
    assert name not in PRIMITIVES, name
    made = PRIMITIVES[name] = Primitive(
        name, infer, decompose=decompose, multiple=multiple, public=public
    )
    return made


def _map(name: str, kind: str, *, public: str | None = None, to_bool: bool = False) -> Primitive:
    return enter(name, infer.elementwise(public or name, kind, to_bool=to_bool), public=public)


# elementwise, one argument
neg = _map("neg", "numeric", public="negative")
abs = _map("abs", "numeric")
sign = _map("sign", "numeric")
square = _map("square", "numeric")
floor = _map("floor", "numeric")
ceil = _map("ceil", "numeric")
trunc = _map("trunc", "numeric")
round = _map("round", "numeric")
exp = _map("exp", "float")
expm1 = _map("expm1", "float")
log = _map("log", "float")
log1p = _map("log1p", "float")
log2 = _map("log2", "float")
log10 = _map("log10", "float")
sqrt = _map("sqrt", "float")
sin = _map("sin", "float")
cos = _map("cos", "float")
tan = _map("tan", "float")
asin = _map("asin", "float")
acos = _map("acos", "float")
atan = _map("atan", "float")
sinh = _map("sinh", "float")
cosh = _map("cosh", "float")
tanh = _map("tanh", "float")
asinh = _map("asinh", "float")
acosh = _map("acosh", "float")
atanh = _map("atanh", "float")
erf = _map("erf", "float")
erfc = _map("erfc", "float")
erfinv = _map("erfinv", "float")
lgamma = _map("lgamma", "float")
digamma = _map("digamma", "float")
polygamma = enter("polygamma", infer.polygamma)
isnan = _map("isnan", "any", to_bool=True)
isinf = _map("isinf", "any", to_bool=True)
isfinite = _map("isfinite", "any", to_bool=True)
signbit = _map("signbit", "numeric", to_bool=True)
bitwise_invert = _map("bitwise_invert", "bits")
stop_gradient = _map("stop_gradient", "any")
astype = enter("astype", infer.astype)

# elementwise, several arguments of one dtype; shapes broadcast
add = _map("add", "any")
sub = _map("sub", "numeric", public="subtract")
mul = _map("mul", "any", public="multiply")
div = _map("div", "float", public="divide")
pow = _map("pow", "numeric")
maximum = _map("maximum", "any")
minimum = _map("minimum", "any")
floor_divide = _map("floor_divide", "numeric")
remainder = _map("remainder", "numeric")
atan2 = _map("atan2", "float")
hypot = _map("hypot", "float")
logaddexp = _map("logaddexp", "float")
copysign = _map("copysign", "float")
nextafter = _map("nextafter", "float")
equal = _map("equal", "any", to_bool=True)
not_equal = _map("not_equal", "any", to_bool=True)
less = _map("less", "any", to_bool=True)
less_equal = _map("less_equal", "any", to_bool=True)
greater = _map("greater", "any", to_bool=True)
greater_equal = _map("greater_equal", "any", to_bool=True)
bitwise_and = _map("bitwise_and", "bits")
bitwise_or = _map("bitwise_or", "bits")
bitwise_xor = _map("bitwise_xor", "bits")
bitwise_left_shift = _map("bitwise_left_shift", "integer")
bitwise_right_shift = _map("bitwise_right_shift", "integer")
where = enter("where", infer.where)

# reductions over a tuple of axes; scans along one
sum = enter("sum", infer.reduction("sum", "numeric"))
prod = enter("prod", infer.reduction("prod", "numeric"))
max = enter("max", infer.reduction("max", "any", identity=False))
min = enter("min", infer.reduction("min", "any", identity=False))
any = enter("any", infer.reduction("any", "bool"))
all = enter("all", infer.reduction("all", "bool"))
argmax = enter("argmax", infer.arg_reduction("argmax"))
argmin = enter("argmin", infer.arg_reduction("argmin"))
cumsum = enter("cumsum", infer.scan("cumulative_sum"), public="cumulative_sum")
cumprod = enter("cumprod", infer.scan("cumulative_prod"), public="cumulative_prod")
argsort = enter("argsort", infer.argsort)

# movement
reshape = enter("reshape", infer.reshape)
permute_dims = enter("permute_dims", infer.permute_dims)
broadcast_to = enter("broadcast_to", infer.broadcast_to)
slice = enter("slice", infer.slice_)
flip = enter("flip", infer.flip)
pad = enter("pad", infer.pad)
concat = enter("concat", infer.concat)

# indexing; indices are checked by the kernels before anything is written
take = enter("take", infer.take)
scatter_add = enter("scatter_add", infer.put("scatter_add"))
take_along_axis = enter("take_along_axis", infer.take_along_axis)
scatter_add_along_axis = enter("scatter_add_along_axis", infer.scatter_add_along_axis)
index_set = enter("index_set", infer.put("index_set"))

# contraction and windows
matmul = enter("matmul", infer.matmul)
unfold = enter("unfold", infer.unfold)
fold = enter("fold", infer.fold)

# sources
full = enter("full", infer.full)
arange = enter("arange", infer.arange)
random_bits = enter("random_bits", infer.random_bits)


def key_to_floats(key: Aval, *, shape: tuple[int, ...], dtype: dtypes.DType) -> Aval:
    """Infer a draw of floats from a key."""
    infer.check_key("random_normal", key)
    return Aval(shape, dtype)
