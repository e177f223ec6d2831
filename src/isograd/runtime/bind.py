"""The one dispatch point: every operation of every tensor goes through `bind`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from isograd.core.config import modes
from isograd.core.errors import AutodiffError, BackendUnavailableError, DeviceMismatchError
from isograd.ir import Aval, Primitive
from isograd.runtime.registry import KernelTable, table_for
from isograd.runtime.tape import PrimitiveNode, SeveralNode
from isograd.runtime.tensor import Tensor

if TYPE_CHECKING:
    from isograd.core.devices import Device

__all__ = ["bind"]

_NOTHING: dict[int, Any] = {}


def bind(prim: Primitive, /, *tensors: Tensor, **static: Any) -> Any:
    """Apply a primitive: check devices, infer, run the kernel, record on the tape.

    Parameters
    ----------
    prim
        The primitive.
    *tensors
        Its arrays, all on one device.
    **static
        Its hashable parameters. A primitive without arrays takes ``device`` here.

    Returns
    -------
    Tensor or tuple of Tensor
        A tuple where ``prim.multiple``.

    Raises
    ------
    DeviceMismatchError
        If the tensors are on different devices.
    IsogradError
        What ``prim.infer`` raises for shapes and dtypes that do not fit.

    Examples
    --------
    >>> import isograd as ig
    >>> ig.bind(ig.ops.PRIMITIVES["add"], ig.tensor([1.0]), ig.tensor([2.0])).tolist()
    [3.0]
    """
    device: Device = tensors[0].device if tensors else static["device"]
    # One and two tensors are written out: loops would cost a fifth of a small operation.
    if len(tensors) == 2:
        x, y = tensors
        if y.device is not device:
            raise _mixed_devices(prim, tensors)
        arrays, avals, edges = (x.array, y.array), (x.aval, y.aval), (x.edge, y.edge)
        followed = (edges[0] is not None, edges[1] is not None)
    elif len(tensors) == 1:
        x = tensors[0]
        arrays, avals, edges = (x.array,), (x.aval,), (x.edge,)
        followed = (edges[0] is not None,)
    else:
        for t in tensors:
            if t.device is not device:
                raise _mixed_devices(prim, tensors)
        arrays, avals = [t.array for t in tensors], [t.aval for t in tensors]
        edges = tuple([t.edge for t in tensors])
        followed = tuple([edge is not None for edge in edges])
    out_aval = prim.infer(*avals, **static)
    rule = prim.rule
    mode = modes.__dict__  # a look-up among thread-locals costs more than one in a dict
    tracked = True in followed and mode["grad"]
    if tracked and rule is None and prim.decompose is not None:
        return prim.decompose(*tensors, **static)

    trace = mode["trace"]
    if trace is not None:
        out = trace.stage(prim, tensors, static, out_aval, device)
    else:
        table = mode["backends"].get(device.type) or table_for(device.type)
        kernel = table[prim.name]
        if kernel is None:
            out = _decomposed(prim, table, tensors, static)
        else:
            out = mode["run"](kernel, *arrays, **static)
        if prim.multiple:
            out = [table.as_array(part) for part in out]
        elif out.__class__ is not table.array_type:
            out = table.as_array(out)
    if prim.multiple:
        parts = tuple([Tensor(a, aval, device) for a, aval in zip(out, out_aval, strict=True)])
        if tracked and rule is not None:
            several = SeveralNode(prim, static, edges, avals, out_aval, device)
            _keep(several, rule.saves(followed), arrays, tuple(out))
            for number, part in enumerate(parts):
                part.edge = (several, number)
        return parts
    result = Tensor(out, out_aval, device)
    if tracked and rule is not None and out_aval.dtype.kind in "fVc":
        if not prim.complex:
            _refuse_complex(prim, avals)
        node = PrimitiveNode(prim, static, edges, avals, out_aval, device)
        kept, keeps_output = rule.saves(followed)
        node.saved_inputs = {i: arrays[i] for i in kept} if kept else _NOTHING
        if keeps_output:
            node.saved_output = out
        if mode["place"] is not None:
            node.line = mode["place"]()
        result.edge = (node, 0)
    return result


def _keep(
    node: SeveralNode,
    saves: tuple[tuple[int, ...], bool],
    arrays: Sequence[Any],
    outputs: tuple[Any, ...],
) -> None:
    """Leave on a node what its rule needs; nodes of one output have this written out in `bind`."""
    kept, keeps_output = saves
    node.saved_inputs = {i: arrays[i] for i in kept}
    if keeps_output:
        node.saved_output = outputs
    if modes.place is not None:
        node.line = modes.place()


def _decomposed(
    prim: Primitive, table: KernelTable, tensors: tuple[Tensor, ...], static: dict[str, Any]
) -> Any:
    """Compute a fused primitive through its definition, where the backend has no kernel for it."""
    if prim.decompose is None:
        raise BackendUnavailableError(
            f"{prim.name}: backend {table.backend.name!r} has no kernel for this core primitive; "
            "add one, or start from isograd.backend.xp_kernels"
        )
    before, modes.grad = modes.grad, False
    try:
        out = prim.decompose(*tensors, **static)
    finally:
        modes.grad = before
    return tuple([part.array for part in out]) if prim.multiple else out.array


def _refuse_complex(prim: Primitive, avals: Sequence[Aval]) -> None:
    """Raise where a rule that was made for real numbers would be applied to complex ones."""
    if any(aval.dtype.kind == "c" for aval in avals):
        raise AutodiffError(
            f"{prim.public}: it has no derivative for complex numbers; write it in real and "
            "imaginary parts, give it a rule with isograd.custom_vjp, or detach its arguments"
        )


def _mixed_devices(prim: Primitive, tensors: tuple[Any, ...]) -> Exception:
    for i, t in enumerate(tensors):
        if not isinstance(t, Tensor):
            return TypeError(
                f"{prim.public}: argument {i} is a {type(t).__name__}, not a Tensor; make it one "
                "with isograd.asarray"
            )
    where = ", ".join(f"argument {i} is on {t.device}" for i, t in enumerate(tensors))
    return DeviceMismatchError(
        f"{prim.public}: arguments are on different devices: {where}; move them together, "
        f'for example with .to("{tensors[0].device}")'
    )
