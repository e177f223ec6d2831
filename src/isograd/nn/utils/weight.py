"""Weight normalisation: a weight as a length times a direction."""

from __future__ import annotations

from typing import Any, TypeVar

from isograd.nn.module import Module
from isograd.nn.utils.computed import plain_parameter, set_computed, unset_computed
from isograd.ops.convert import axis_of
from isograd.ops.reductions import vector_norm
from isograd.runtime.parameter import Parameter
from isograd.runtime.tensor import Tensor

__all__ = ["remove_weight_norm", "weight_norm"]

M = TypeVar("M", bound=Module)


class _Weight:
    """Computes ``g * v / |v|``, with a length for each index along ``dim``."""

    def __init__(self, name: str, dim: int | None) -> None:
        self._name = name
        self._dim = dim

    def length(self, v: Tensor) -> Tensor:
        if self._dim is None:
            return vector_norm(v)
        return vector_norm(v, axis=tuple(i for i in range(v.ndim) if i != self._dim), keepdims=True)

    def __call__(self, module: Any) -> Tensor:
        g, v = (getattr(module, f"{self._name}_{part}") for part in "gv")
        return v * (g / self.length(v))


def weight_norm(module: M, name: str = "weight", dim: int | None = 0) -> M:
    """Replace a weight by its length ``weight_g`` and its direction ``weight_v``.

    The attribute ``weight`` is computed from both whenever it is read, as ``g * v / |v|`` (Salimans
    and Kingma, "Weight Normalization", 2016). Names in the state dict are those of
    ``torch.nn.utils.weight_norm``.

    Parameters
    ----------
    module : Module
        Changed in place. Make the optimizer afterwards.
    name : str
        Of the parameter.
    dim : int or None
        The axis along which each index has a length of its own; None gives one length for all.

    Returns
    -------
    Module
        The same module.

    Raises
    ------
    ValueError
        If there is no such parameter, or it is normalised already.

    Examples
    --------
    >>> import isograd as ig
    >>> layer = weight_norm(ig.nn.Linear(3, 2))
    >>> {name: p.shape for name, p in layer.named_parameters()}
    {'bias': (2,), 'weight_g': (2, 1), 'weight_v': (2, 3)}
    >>> layer(ig.ones((1, 3))).shape
    (1, 2)
    """
    weight = plain_parameter("weight_norm", module, name)
    axis = None if dim is None else axis_of("weight_norm", dim, weight.ndim)
    compute = _Weight(name, axis)
    set_computed(module, name, compute)
    module.register_parameter(f"{name}_g", Parameter(compute.length(weight.detach())))
    module.register_parameter(f"{name}_v", Parameter(weight))
    return module


def remove_weight_norm(module: M, name: str = "weight") -> M:
    """Make a weight that `weight_norm` replaced one parameter again, of its present value.

    Examples
    --------
    >>> import isograd as ig
    >>> layer = remove_weight_norm(weight_norm(ig.nn.Linear(3, 2)))
    >>> [name for name, _ in layer.named_parameters()]
    ['bias', 'weight']
    """
    unset_computed("remove_weight_norm", module, name, _Weight)
    delattr(module, f"{name}_g")
    delattr(module, f"{name}_v")
    return module
