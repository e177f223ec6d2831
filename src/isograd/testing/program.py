"""A user's function or module as a function of named NumPy arrays, in any dtype, on any backend."""

from __future__ import annotations

import copy
import functools
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, cast

import numpy as np

import isograd as ig
from isograd.compiler import Compiled
from isograd.core import dtypes
from isograd.core.errors import AutodiffError
from isograd.core.pytree import tree_flatten, tree_unflatten

__all__ = ["Program"]

Array = Any


class _Slot(NamedTuple):
    """One differentiable array: a leaf of the arguments, or a parameter of a module among them.

    A complex one has two slots, one for each part.
    """

    name: str
    leaf: int
    parameter: str
    part: str


def _is_module(value: Any) -> bool:
    return hasattr(value, "named_parameters") and hasattr(value, "to")


def _is_array(value: Any) -> bool:
    return isinstance(value, ig.Tensor | np.ndarray | np.generic | float | complex)


def _call_first(module: Any, *args: Any) -> Any:
    return module(*args)


def _call_first_compiled() -> Callable[..., Any]:
    """Return `_call_first` for a compiled module: a copy of the module is compiled anew."""

    @functools.cache
    def compiled(module: Any) -> Compiled:
        return ig.compile(module, state=module)

    def call(module: Any, *args: Any) -> Any:
        return compiled(module)(*args)

    return call


class Program:
    """A function of differentiable arrays, all in one floating dtype.

    Complex tensors, among its arguments and its results, count as two arrays: their real and their
    imaginary parts.

    Parameters
    ----------
    fn
        A function, or a module, which is then its own first argument: its parameters are inputs.
    inputs
        What it is called with: tensors, arrays, numbers, modules, or trees of them. Floating-point
        tensors and arrays, and the parameters of modules, are differentiable; everything else is
        passed as it is.
    dtype
        The dtype in which the differentiable arrays are passed. Modules are copied and converted.

    Attributes
    ----------
    names : list of str
        What the differentiable arrays are called in reports.
    arrays : list of ndarray
        Their values, as float64.

    Raises
    ------
    AutodiffError
        If nothing is differentiable.
    """

    def __init__(self, fn: Callable[..., Any], inputs: Sequence[Any], dtype: Any) -> None:
        self.dtype = dtypes.as_dtype(dtype)
        wrapped: Any = getattr(fn, "__wrapped__", None) if isinstance(fn, Compiled) else None
        self._fn: Callable[..., Any] = _call_first if _is_module(fn) else fn
        own: tuple[Any, ...] = (fn,) if _is_module(fn) else ()
        if _is_module(wrapped):
            own, self._fn = (wrapped,), _call_first_compiled()
        leaves, self._structure = tree_flatten((*own, *inputs))
        self._leaves = [self._prepared(leaf) for leaf in leaves]
        positions = self._positions((*own, *inputs))
        self._slots: list[_Slot] = []
        self.arrays: list[Array] = []
        for number, leaf in enumerate(self._leaves):
            for name, value in self._differentiable(leaf):
                position = positions[number] - len(own)
                where = "" if position < 0 else f"argument {position}"
                for part in ("real", "imag") if value.dtype.kind == "c" else ("",):
                    words = " ".join(filter(None, (where, name, part)))
                    self._slots.append(_Slot(words, number, name, part))
                    self.arrays.append(_as_float64(getattr(value, part) if part else value))
        self.names = [slot.name for slot in self._slots]
        if not self._slots:
            raise AutodiffError(
                "nothing is differentiable: there are no floating-point tensors and no parameters "
                "among the inputs; pass some"
            )
        self._generator_state = ig.random.default_generator.state_dict()

    @staticmethod
    def _positions(inputs: Sequence[Any]) -> list[int]:
        return [position for position, value in enumerate(inputs) for _ in tree_flatten(value)[0]]

    def _prepared(self, leaf: Any) -> Any:
        if _is_module(leaf):
            return copy.deepcopy(leaf).to(self.dtype)
        if isinstance(leaf, ig.Tensor):
            return leaf.numpy()
        return leaf

    @staticmethod
    def _differentiable(leaf: Any) -> list[tuple[str, Array]]:
        if _is_module(leaf):
            return [(name, p.numpy()) for name, p in leaf.named_parameters() if p.requires_grad]
        if _is_array(leaf) and dtypes.is_inexact(np.asarray(leaf).dtype):
            return [("", np.asarray(leaf))]
        return []

    # -- running -----------------------------------------------------------------------------------

    def outputs(self, arrays: Sequence[Array]) -> list[Array]:
        """Run the function and return its floating outputs as float64 arrays."""
        with ig.no_grad():
            return [
                np.asarray(out.numpy(), np.float64) for out in self._run(*self._primals(arrays))
            ]

    def gradients(
        self, arrays: Sequence[Array], cotangents: Sequence[Array]
    ) -> tuple[list[Array], list[Array]]:
        """Return outputs and gradients as float64 arrays, given a cotangent for each output."""
        outs, back = ig.vjp(self._run, *self._primals(arrays))
        given = tuple(
            ig.tensor(np.asarray(ct, out.dtype)) for ct, out in zip(cotangents, outs, strict=True)
        )
        pulled = self._by_slot(back(given))
        return [np.asarray(out.numpy(), np.float64) for out in outs], pulled

    def tangents(self, arrays: Sequence[Array], directions: Sequence[Array]) -> list[Array]:
        """Return the tangent of each output for a direction of each differentiable array."""
        primals = self._primals(arrays)
        moved = iter(directions)
        given: list[Any] = []
        for leaf in self._differentiable_leaves():
            slots = [slot for slot in self._slots if slot.leaf == leaf]
            parts = self._joined({slot: next(moved) for slot in slots})
            given.append(parts if _is_module(self._leaves[leaf]) else parts[""])
        _, pushed = ig.jvp(self._run, tuple(primals), tuple(given))
        return [np.asarray(t.numpy(), np.float64) for t in pushed]

    def _differentiable_leaves(self) -> list[int]:
        return list(dict.fromkeys(slot.leaf for slot in self._slots))

    def _primals(self, arrays: Sequence[Array]) -> list[Any]:
        """Return modules with their parameters set, and tensors."""
        values = dict(zip(self._slots, arrays, strict=True))
        primals: list[Any] = []
        for leaf in self._differentiable_leaves():
            slots = [slot for slot in self._slots if slot.leaf == leaf]
            module = self._leaves[leaf]
            joined = self._joined({slot: values[slot] for slot in slots})
            if not _is_module(module):
                primals.append(joined[""])
                continue
            parameters = dict(module.named_parameters())
            for name, value in joined.items():
                parameters[name].assign_(value)
            primals.append(module)
        return primals

    def _joined(self, values: dict[_Slot, Array]) -> dict[str, ig.Tensor]:
        """Return a tensor for each parameter of a leaf; the parts of complex ones are joined."""
        found: dict[str, ig.Tensor] = {}
        for slot, value in values.items():
            one = ig.tensor(np.asarray(value, self.dtype))
            before = found.get(slot.parameter)
            found[slot.parameter] = one if before is None else ig.complex(before, one)
        return found

    def _run(self, *primals: Any) -> tuple[Any, ...]:
        """Call the function with the primals in their places and the same random numbers."""
        leaves = [
            ig.tensor(leaf) if isinstance(leaf, np.ndarray) else leaf for leaf in self._leaves
        ]
        for leaf, primal in zip(self._differentiable_leaves(), primals, strict=True):
            leaves[leaf] = primal
        before = ig.random.default_generator.state_dict()
        ig.random.default_generator.load_state_dict(self._generator_state)
        try:
            result = self._fn(*tree_unflatten(self._structure, leaves))
        finally:
            ig.random.default_generator.load_state_dict(before)
        outs = [
            out
            for leaf in tree_flatten(result)[0]
            if isinstance(leaf, ig.Tensor) and dtypes.is_inexact(leaf.dtype)
            for out in ((leaf.real, leaf.imag) if dtypes.is_complex(leaf.dtype) else (leaf,))
        ]
        if not outs:
            raise AutodiffError("the function returned no floating-point tensor; return one")
        return tuple(outs)

    def _by_slot(self, pulled: Sequence[Any]) -> list[Array]:
        by_leaf = dict(zip(self._differentiable_leaves(), pulled, strict=True))
        found: list[Array] = []
        for slot in self._slots:
            gradient = by_leaf[slot.leaf]
            tensor = gradient[slot.parameter] if isinstance(gradient, dict) else gradient  # pyright: ignore[reportUnknownVariableType]
            array = cast("Any", tensor.numpy())  # pyright: ignore[reportUnknownMemberType]
            # The gradient of z is dL/dRe + i dL/dIm, so its parts are those of the parts.
            found.append(_as_float64(getattr(array, slot.part) if slot.part else array))
        return found


def _as_float64(array: Array) -> Array:
    return np.asarray(array, np.float64)
