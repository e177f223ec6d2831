"""What torch's names are called here, for the errors of those who write them."""

from __future__ import annotations

__all__ = ["missing_name"]

# Of tensors and of the module itself; where a name is there, it is not asked for here.
_HERE = {
    "__cuda_array_interface__": 'x.to("cuda").__cuda_array_interface__; the CPU has none',
    "bfloat16": "x.astype(isograd.bfloat16)",
    "bmm": "isograd.matmul(x, y)",
    "cat": "isograd.concat([x, y], axis=0)",
    "chunk": "isograd.split(x, sections, axis=0)",
    "clamp": "isograd.clip(x, low, high)",
    "clone": "x itself, since tensors do not change",
    "contiguous": "x itself, since tensors have no strides",
    "cpu": 'x.to("cpu")',
    "cuda": 'x.to("cuda")',
    "dim": "x.ndim",
    "double": "x.astype(isograd.float64)",
    "expand": "isograd.broadcast_to(x, shape)",
    "float": "x.astype(isograd.float32)",
    "half": "x.astype(isograd.float16)",
    "index_fill": "x.at[index].set(value)",
    "int": "x.astype(isograd.int32)",
    "long": "x.astype(isograd.int64)",
    "masked_fill": "isograd.where(mask, value, x)",
    "mm": "isograd.matmul(x, y)",
    "mul": "isograd.multiply(x, y)",
    "no_grad_": "x.requires_grad_(False)",
    "numel": "x.size",
    "permute": "isograd.permute_dims(x, axes)",
    "rand": "isograd.random.uniform(shape)",
    "randint": "isograd.random.integers(low, high, shape)",
    "randn": "isograd.random.normal(shape)",
    "randperm": "isograd.random.permutation(n)",
    "relu": "isograd.nn.functional.relu(x)",
    "sigmoid": "isograd.nn.functional.sigmoid(x)",
    "softmax": "isograd.nn.functional.softmax(x, dim)",
    "sub": "isograd.subtract(x, y)",
    "t": "x.T",
    "transpose": "isograd.swapaxes(x, i, j)",
    "type": "x.astype(dtype)",
    "unbind": "isograd.unstack(x, axis=0)",
    "unsqueeze": "isograd.expand_dims(x, axis=0)",
    "view": "x.reshape(shape)",
}


def missing_name(owner: str, name: str) -> AttributeError:
    """Return the error for an attribute that is not there, with what it is called here.

    >>> print(missing_name("Tensor", "unsqueeze"))
    Tensor has no attribute 'unsqueeze'; write isograd.expand_dims(x, axis=0)
    """
    here = f"; write {_HERE[name]}" if name in _HERE else ""
    return AttributeError(f"{owner} has no attribute {name!r}{here}")
