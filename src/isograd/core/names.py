"""What names of torch, NumPy and JAX are called here, for the errors of those who write them."""

from __future__ import annotations

import sys
from typing import Final

__all__ = ["HERE", "missing_name"]

HERE: Final = {
    "FloatTensor": "isograd.tensor(data, dtype=isograd.float32)",
    "H": "isograd.conj(x).mT",
    "LongTensor": "isograd.tensor(data, dtype=isograd.int64)",
    "Size": "tuple: shapes are tuples",
    "__cuda_array_interface__": 'x.to("cuda").__cuda_array_interface__; the CPU has none',
    "absolute": "isograd.abs(x)",
    "addmm": "c + x @ y",
    "amax": "isograd.max(x, axis=axis)",
    "amin": "isograd.min(x, axis=axis)",
    "array": "isograd.tensor(data)",
    "array_split": "isograd.split(x, places, axis=0)",
    "as_tensor": "isograd.asarray(data)",
    "assign_": "isograd.nn.Parameter(x), which can be assigned; other tensors do not change",
    "autograd": "isograd.grad(fn), and isograd.custom_vjp for a rule of your own",
    "baddbmm": "c + x @ y",
    "bfloat16": "x.astype(isograd.bfloat16)",
    "block_until_ready": "isograd.synchronize()",
    "bmm": "isograd.matmul(x, y)",
    "bool": "x.astype(isograd.bool)",
    "bucketize": "isograd.searchsorted(edges, x)",
    "cat": "isograd.concat([x, y], axis=0)",
    "chunk": "isograd.split(x, sections, axis=0)",
    "clamp": "isograd.clip(x, low, high)",
    "clamp_min": "isograd.clip(x, low)",
    "clone": "x itself, since tensors do not change",
    "concatenate": "isograd.concat([x, y], axis=0)",
    "contiguous": "x itself, since tensors have no strides",
    "copy": "x itself, since tensors do not change",
    "copy_": "parameter.assign_(value), since other tensors do not change",
    "cpu": 'x.to("cpu")',
    "cuda": 'x.to("cuda"); isograd.backends() tells what there is',
    "cumprod": "isograd.cumulative_prod(x, axis=axis)",
    "cumsum": "isograd.cumulative_sum(x, axis=axis)",
    "data": "x.detach(), or parameter.assign_(value) to change a parameter",
    "digitize": "isograd.searchsorted(edges, x)",
    "dim": "x.ndim",
    "div": "isograd.divide(x, y)",
    "double": "isograd.float64, and x.astype(isograd.float64)",
    "eq": "isograd.equal(x, y)",
    "expand": "isograd.broadcast_to(x, shape)",
    "expand_as": "isograd.broadcast_to(x, y.shape)",
    "fill_": "parameter.assign_(value), or x = isograd.full_like(x, value)",
    "float": "isograd.float32, and x.astype(isograd.float32)",
    "func": "isograd.grad, isograd.vmap and isograd.nn.functional_call",
    "ge": "isograd.greater_equal(x, y)",
    "get_default_dtype": "isograd.default_float()",
    "gt": "isograd.greater(x, y)",
    "half": "isograd.float16, and x.astype(isograd.float16)",
    "identity": "isograd.eye(n)",
    "index_fill": "x.at[index].set(value)",
    "index_put": "x.at[index].set(value)",
    "indices": "isograd.argsort(x, axis=axis) or isograd.argmax(x, axis=axis)",
    "inference_mode": "isograd.no_grad()",
    "int": "isograd.int32, and x.astype(isograd.int32)",
    "inverse": "isograd.linalg.inv(x)",
    "is_floating_point": 'isograd.isdtype(x.dtype, "real floating")',
    "is_tensor": "isinstance(x, isograd.Tensor)",
    "jacfwd": "isograd.jacobian(fn)",
    "jacrev": "isograd.jacobian(fn)",
    "jit": "isograd.compile(fn)",
    "lax": "isograd.scan(step, init, xs) and isograd.cond(on, yes, no)",
    "le": "isograd.less_equal(x, y)",
    "lerp": "x + weight * (y - x)",
    "load": "isograd.io.load_tree(path), or isograd.io.load_model(model, path)",
    "log_softmax": "isograd.nn.functional.log_softmax(x, dim)",
    "logdet": "isograd.linalg.slogdet(x).logabsdet",
    "long": "isograd.int64, and x.astype(isograd.int64)",
    "lt": "isograd.less(x, y)",
    "masked_fill": "isograd.where(mask, value, x)",
    "masked_select": "x[mask]",
    "mm": "isograd.matmul(x, y)",
    "mod": "isograd.remainder(x, y)",
    "movedim": "isograd.moveaxis(x, i, j)",
    "mul": "isograd.multiply(x, y)",
    "multinomial": "isograd.random.choice(n, shape, p=weights)",
    "narrow": "x[start:stop]",
    "ne": "isograd.not_equal(x, y)",
    "neg": "isograd.negative(x)",
    "nelement": "x.size",
    "new_tensor": "isograd.tensor(data, dtype=x.dtype)",
    "new_zeros": "isograd.zeros(shape, dtype=x.dtype)",
    "no_grad_": "x.requires_grad_(False)",
    "numel": "x.size",
    "numpy": "isograd: its functions have NumPy's names",
    "permute": "isograd.permute_dims(x, axes)",
    "power": "isograd.pow(x, y)",
    "rand": "isograd.random.uniform(shape)",
    "rand_like": "isograd.random.uniform(x.shape, dtype=x.dtype)",
    "randint": "isograd.random.integers(low, high, shape)",
    "randn": "isograd.random.normal(shape)",
    "randn_like": "isograd.random.normal(x.shape, dtype=x.dtype)",
    "randperm": "isograd.random.permutation(n)",
    "ravel": "x.reshape(-1)",
    "register_hook": "module.register_full_backward_hook, or a rule with isograd.custom_vjp",
    "relu": "isograd.nn.functional.relu(x)",
    "repeat": "isograd.tile(x, counts) for torch's, isograd.repeat(x, n, axis=axis) for NumPy's",
    "repeat_interleave": "isograd.repeat(x, n, axis=axis)",
    "save": "isograd.io.save_tree(tree, path), or isograd.io.save_model(model, path)",
    "select": "x[i]",
    "set_grad_enabled": "isograd.no_grad() or isograd.enable_grad()",
    "sigmoid": "isograd.nn.functional.sigmoid(x)",
    "softmax": "isograd.nn.functional.softmax(x, dim)",
    "special": "isograd: special functions are there",
    "split": "isograd.split(x, places, axis=0): the number of parts, or where to cut, not lengths",
    "sub": "isograd.subtract(x, y)",
    "t": "x.T",
    "take_along_dim": "isograd.take_along_axis(x, index, axis=axis)",
    "transpose": "isograd.swapaxes(x, i, j) for torch's, x.permute(axes) for NumPy's",
    "tree": "isograd.tree_map(fn, tree)",
    "tree_util": "isograd.tree_map(fn, tree)",
    "true_divide": "isograd.divide(x, y)",
    "type": "x.astype(dtype)",
    "unbind": "isograd.unstack(x, axis=0)",
    "unflatten": "x.reshape(shape)",
    "unique": "isograd.unique_values(x)",
    "unsqueeze": "isograd.expand_dims(x, axis=0)",
    "utils": "isograd.data or isograd.nn.utils",
    "values": "x itself: isograd.max and isograd.sort return no indices beside it",
    "view": "x.reshape(shape)",
    "view_as": "x.reshape(y.shape)",
    "zero_": "parameter.assign_(value), or x = isograd.zeros_like(x)",
}
"""Of tensors and of the module itself; where a name is there, it is not asked for here."""

_PLACES: Final = {
    "isograd": "isograd",
    "isograd.nn.functional": "isograd.nn.functional",
    "isograd.nn.init": "isograd.nn.init",
    "isograd.linalg": "isograd.ops.linalg",
    "isograd.random": "isograd.ops.random",
}
"""Where else a name may be: as it is written, and the module."""


def missing_name(owner: str, name: str) -> AttributeError:
    """Return the error for an attribute that is not there, with what it is called here.

    >>> print(missing_name("Tensor", "unsqueeze"))
    Tensor has no attribute 'unsqueeze'; write isograd.expand_dims(x, axis=0)
    >>> print(missing_name("Tensor", "log1p"))
    Tensor has no attribute 'log1p'; write isograd.log1p
    """
    here = _here(name)
    return AttributeError(
        f"{owner} has no attribute {name!r}" + (f"; write {here}" if here else "")
    )


def _here(name: str) -> str | None:
    if name in HERE or name.startswith("_"):
        return HERE.get(name)
    # Modules that were not imported are not looked at: `hasattr` must stay cheap.
    for place, module in _PLACES.items():
        if name in getattr(sys.modules.get(module), "__all__", ()):
            return f"{place}.{name}"
    changed = _here(name.removesuffix("_")) if name.endswith("_") else None
    return changed and f"{changed} for the new value, since tensors do not change"
