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
neg = _map("neg", "numeric or complex", public="negative")
abs = _map("abs", "numeric")
sign = _map("sign", "numeric")
square = _map("square", "numeric or complex")
floor = _map("floor", "numeric")
ceil = _map("ceil", "numeric")
trunc = _map("trunc", "numeric")
round = _map("round", "numeric or complex")
exp = _map("exp", "float or complex")
expm1 = _map("expm1", "float or complex")
log = _map("log", "float or complex")
log1p = _map("log1p", "float or complex")
log2 = _map("log2", "float or complex")
log10 = _map("log10", "float or complex")
sqrt = _map("sqrt", "float or complex")
sin = _map("sin", "float or complex")
cos = _map("cos", "float or complex")
tan = _map("tan", "float or complex")
asin = _map("asin", "float or complex")
acos = _map("acos", "float or complex")
atan = _map("atan", "float or complex")
sinh = _map("sinh", "float or complex")
cosh = _map("cosh", "float or complex")
tanh = _map("tanh", "float or complex")
asinh = _map("asinh", "float or complex")
acosh = _map("acosh", "float or complex")
atanh = _map("atanh", "float or complex")
erf = _map("erf", "float")
erfc = _map("erfc", "float")
erfinv = _map("erfinv", "float")
lgamma = _map("lgamma", "float")
digamma = _map("digamma", "float")
polygamma = enter("polygamma", infer.polygamma)
isnan = _map("isnan", "any or complex", to_bool=True)
isinf = _map("isinf", "any or complex", to_bool=True)
isfinite = _map("isfinite", "any or complex", to_bool=True)
signbit = _map("signbit", "numeric", to_bool=True)
bitwise_invert = _map("bitwise_invert", "bits")
stop_gradient = _map("stop_gradient", "any or complex")
astype = enter("astype", infer.astype)

# elementwise, several arguments of one dtype; shapes broadcast
add = _map("add", "any or complex")
sub = _map("sub", "numeric or complex", public="subtract")
mul = _map("mul", "any or complex", public="multiply")
div = _map("div", "float or complex", public="divide")
pow = _map("pow", "numeric or complex")
maximum = _map("maximum", "any")
minimum = _map("minimum", "any")
floor_divide = _map("floor_divide", "numeric")
remainder = _map("remainder", "numeric")
atan2 = _map("atan2", "float")
hypot = _map("hypot", "float")
logaddexp = _map("logaddexp", "float")
copysign = _map("copysign", "float")
nextafter = _map("nextafter", "float")
equal = _map("equal", "any or complex", to_bool=True)
not_equal = _map("not_equal", "any or complex", to_bool=True)
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

# complex numbers: their parts, and back
real = enter("real", infer.parts("real"))
imag = enter("imag", infer.parts("imag"))
conj = _map("conj", "complex")
complex = enter("complex", infer.complex_)

# reductions over a tuple of axes; scans along one
sum = enter("sum", infer.reduction("sum", "numeric or complex"))
prod = enter("prod", infer.reduction("prod", "numeric or complex"))
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

# Fourier transforms: of complex numbers over several axes, of real ones over one, and back
fft = enter("fft", infer.fft)
rfft = enter("rfft", infer.rfft)
irfft = enter("irfft", infer.irfft)

# sources
full = enter("full", infer.full)
arange = enter("arange", infer.arange)
random_bits = enter("random_bits", infer.random_bits)


def key_to_floats(key: Aval, *, shape: tuple[int, ...], dtype: dtypes.DType) -> Aval:
    """Infer a draw of floats from a key."""
    infer.check_key("random_normal", key)
    return Aval(shape, dtype)
