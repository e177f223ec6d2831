"""Tensor: an immutable value on a device. Its methods are functions of the library."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from isograd.core.config import modes, switched
from isograd.core.devices import Device
from isograd.core.errors import (
    AutodiffError,
    DTypeError,
    IndexOutOfRangeError,
    ShapeError,
    UndeclaredStateError,
)
from isograd.core.frames import user_line
from isograd.core.names import missing_name
from isograd.ir import Aval
from isograd.ir.graph import Var
from isograd.runtime.batched import Batched, check_inside
from isograd.runtime.interchange import Interchange
from isograd.runtime.library import library
from isograd.runtime.registry import table_for
from isograd.runtime.tape import LeafNode

if TYPE_CHECKING:
    from isograd.core.dtypes import DType
    from isograd.runtime.tape import Edge

__all__ = ["Scalar", "Tensor"]

Scalar = bool | int | float | complex

lib = library


class Tensor(Interchange):
    """An n-dimensional array of one dtype on one device, with the history that derivatives need.

    Make tensors with `isograd.tensor`, `isograd.asarray` and the creation functions. A tensor never
    changes its value: operations return new ones, ``x.at[i].set(v)`` an updated copy, and ``x[i] =
    v`` makes the name ``x`` hold the updated copy.

    Attributes
    ----------
    shape : tuple of int
    dtype : numpy.dtype
    device : Device
    grad : Tensor or None
        The gradient that ``backward`` has left on a leaf.
    array, aval, edge
        The backend's array, shape with dtype, and the place on the tape: for the engine and for
        backends.

    Examples
    --------
    >>> import isograd as ig
    >>> x = ig.tensor([1.0, 2.0, 3.0], requires_grad=True)
    >>> (x * x).sum().backward()
    >>> x.grad.tolist()
    [2.0, 4.0, 6.0]
    """

    __slots__ = ("__weakref__", "array", "aval", "device", "edge", "grad")

    # NumPy then leaves operators between its arrays and tensors to us.
    __array_ufunc__ = None

    array: Any
    aval: Aval
    device: Device
    edge: Edge | None
    grad: Tensor | None

    def __init__(self, array: Any, aval: Aval, device: Device, edge: Edge | None = None) -> None:
        self.array = array
        self.aval = aval
        self.device = device
        self.edge = edge
        self.grad = None

    # -- what it is --------------------------------------------------------------------------------

    @property
    def shape(self) -> tuple[int, ...]:
        """The length of each axis."""
        return self.aval.shape

    @property
    def dtype(self) -> DType:
        """The data type of the elements."""
        return self.aval.dtype

    @property
    def ndim(self) -> int:
        """The number of axes."""
        return len(self.aval.shape)

    @property
    def size(self) -> int:
        """The number of elements."""
        count = 1
        for n in self.aval.shape:
            count *= n
        return count

    @property
    def nbytes(self) -> int:
        """The memory of the elements, in bytes."""
        return self.size * self.aval.dtype.itemsize

    @property
    def T(self) -> Tensor:  # noqa: N802 - the array API's name
        """The transpose of a matrix."""
        if self.ndim != 2:
            raise ShapeError(
                f"T: the tensor has shape {self.shape}; use .mT to transpose the last two axes"
            )
        return lib.permute_dims(self, (1, 0))

    @property
    def mT(self) -> Tensor:  # noqa: N802 - the array API's name
        """The tensor with its last two axes exchanged."""
        return lib.matrix_transpose(self)

    @property
    def real(self) -> Tensor:
        """The real part; the tensor itself where it is real."""
        return lib.real(self)

    @property
    def imag(self) -> Tensor:
        """The imaginary part; zeros where the tensor is real."""
        return lib.imag(self)

    @property
    def at(self) -> Any:
        """Functional updates: ``x.at[i].set(v)``, ``.add(v)``, ``.multiply(v)``, ``.get()``."""
        return lib.at(self)

    # -- derivatives -------------------------------------------------------------------------------

    @property
    def requires_grad(self) -> bool:
        """Whether derivatives with respect to this tensor, or through it, can be taken."""
        return self.edge is not None

    @requires_grad.setter
    def requires_grad(self, value: bool) -> None:
        self.requires_grad_(value)

    @property
    def is_leaf(self) -> bool:
        """Whether this tensor was not made by a recorded operation."""
        return self.edge is None or isinstance(self.edge[0], LeafNode)

    def requires_grad_(self, requires_grad: bool = True) -> Self:
        """Make this tensor a leaf that ``backward`` leaves a gradient on, or stop that.

        Raises
        ------
        DTypeError
            If the dtype is not floating-point.
        AutodiffError
            If a recorded operation made the tensor.
        """
        if requires_grad and self.edge is None:
            if self.aval.dtype.kind not in "fVc":
                raise DTypeError(
                    f"requires_grad_: a tensor of dtype {self.dtype} has no gradient; convert it "
                    "with .astype(isograd.float32) first"
                )
            self.edge = (LeafNode(self), 0)
        elif not requires_grad and self.edge is not None:
            if not self.is_leaf:
                raise AutodiffError(
                    "requires_grad_: an operation made this tensor; use .detach() instead"
                )
            self.edge = None
        return self

    def backward(
        self,
        gradient: Any = None,
        *,
        retain_graph: bool = False,
        create_graph: bool = False,
        nan_safe: bool = False,
    ) -> None:
        """Add the gradient of this tensor to ``.grad`` of every leaf behind it.

        Parameters
        ----------
        gradient
            The cotangent, of this tensor's shape and dtype; needed unless the tensor has one
            element.
        retain_graph
            Keep what the tape has saved, so that another backward pass can use it.
        create_graph
            Record the pass itself, so that gradients can be differentiated; keeps the tape as well.
        nan_safe
            Keep zero cotangents zero where a derivative is infinite or NaN, as under
            `isograd.nan_safe`.

        Raises
        ------
        AutodiffError
            If nothing behind the tensor requires a gradient, the tensor has several elements and no
            ``gradient`` is given, or an earlier pass has freed the tape.
        ShapeError, DTypeError, DeviceMismatchError
            If ``gradient`` does not fit.
        """
        from isograd.runtime.autodiff import backward

        with switched(nan_safe=nan_safe or modes.nan_safe):
            backward(self, gradient, retain_graph=retain_graph, create_graph=create_graph)

    def detach(self) -> Tensor:
        """Return the same value without history."""
        return Tensor(self.array, self.aval, self.device)

    # -- moving and converting ---------------------------------------------------------------------

    def numpy(self) -> np.ndarray[Any, Any]:
        """Return the value as a NumPy array: a read-only view where memory allows, else a copy."""
        if self.array.__class__ is Var:
            self.array.refuse()
        if self.array.__class__ is Batched:
            return self.array.host()
        host = table_for(self.device.type).memory.to_host(self.array).view()
        host.flags.writeable = False
        return host

    def item(self, *index: int) -> Any:
        """Return one element as a Python number.

        Parameters
        ----------
        *index
            An integer for each axis, or one into the flattened tensor; none where there is only one
            element.

        Raises
        ------
        ShapeError
            If there is not exactly one element, or another number of axes.
        IndexOutOfRangeError
            If it is not there.
        """
        if index:
            chosen: Tensor = self if len(index) == self.ndim else lib.reshape(self, (self.size,))
            if len(index) not in (1, self.ndim):
                raise ShapeError(
                    f"item: {len(index)} indices for a tensor of shape {self.shape}; pass one for "
                    "each axis, or one for the flattened tensor"
                )
            try:
                return chosen[tuple([int(i.__index__()) for i in index])].item()
            except IndexOutOfRangeError as error:
                raise IndexOutOfRangeError(str(error).replace("x[...]", "item")) from None
        if self.size != 1:
            raise ShapeError(
                f"item: the tensor has shape {self.shape}; index or reduce it to one element first"
            )
        return self.numpy().reshape(()).item()

    def tolist(self) -> Any:
        """Return the elements as nested lists of Python numbers."""
        return self.numpy().tolist()

    def to(self, target: Any, /) -> Tensor:
        """Return the tensor on another device, or of another dtype."""
        return lib.to(self, target)

    def to_device(self, device: Any, /, *, stream: Any = None) -> Tensor:
        """Return the tensor on another device (the array API's spelling of `to`)."""
        if stream is not None:
            raise ValueError("to_device: streams belong to CUDA devices; leave stream=None")
        return lib.to(self, device)

    def astype(self, dtype: Any, /, *, copy: bool = True) -> Tensor:
        """`isograd.astype` of this tensor."""
        return lib.astype(self, dtype, copy=copy)

    def __array_namespace__(self, /, *, api_version: str | None = None) -> Any:
        import isograd

        if api_version is not None:
            isograd.ops.namespace.check_api_version(api_version)
        return isograd

    if not TYPE_CHECKING:  # a checker would take every name for an attribute

        def __getattr__(self, name: str) -> Any:
            raise missing_name(type(self).__name__, name)

    def __hash__(self) -> int:
        return id(self)

    # -- indexing ----------------------------------------------------------------------------------

    def __getitem__(self, index: Any, /) -> Tensor:
        return lib.getitem(self, index)

    def __setitem__(self, index: Any, value: Any, /) -> None:
        if self.edge is not None and self.is_leaf:
            raise AutodiffError(
                "x[i] = v: x is a leaf that requires gradients, and would lose them; write y = "
                "x.at[i].set(v)"
            )
        graph = getattr(modes.trace, "graph", None)
        if graph is not None and self.array in graph.inputs:
            raise UndeclaredStateError(
                f"x[i] = v: x is an argument of a function that is being compiled, at "
                f"{user_line()}, so the caller's tensor would not change; write "
                "x = x.at[i].set(v) and return it"
            )
        updated: Tensor = lib.at(self)[index].set(value)
        if modes.trace is not None and self.array.__class__ is not Batched:
            check_inside(updated, "x[i] = v", "x", "write y = x.at[i].set(v)")
        self.array, self.edge = updated.array, updated.edge

    # -- operators ---------------------------------------------------------------------------------

    def __add__(self, other: Any, /) -> Tensor:
        return lib.add(self, other)

    def __radd__(self, other: Any, /) -> Tensor:
        return lib.add(other, self)

    def __sub__(self, other: Any, /) -> Tensor:
        return lib.subtract(self, other)

    def __rsub__(self, other: Any, /) -> Tensor:
        return lib.subtract(other, self)

    def __mul__(self, other: Any, /) -> Tensor:
        return lib.multiply(self, other)

    def __rmul__(self, other: Any, /) -> Tensor:
        return lib.multiply(other, self)

    def __truediv__(self, other: Any, /) -> Tensor:
        return lib.divide(self, other)

    def __rtruediv__(self, other: Any, /) -> Tensor:
        return lib.divide(other, self)

    def __floordiv__(self, other: Any, /) -> Tensor:
        return lib.floor_divide(self, other)

    def __rfloordiv__(self, other: Any, /) -> Tensor:
        return lib.floor_divide(other, self)

    def __mod__(self, other: Any, /) -> Tensor:
        return lib.remainder(self, other)

    def __rmod__(self, other: Any, /) -> Tensor:
        return lib.remainder(other, self)

    def __pow__(self, other: Any, /) -> Tensor:
        return lib.pow(self, other)

    def __rpow__(self, other: Any, /) -> Tensor:
        return lib.pow(other, self)

    def __matmul__(self, other: Any, /) -> Tensor:
        return lib.matmul(self, other)

    def __rmatmul__(self, other: Any, /) -> Tensor:
        return lib.matmul(other, self)

    def __neg__(self) -> Tensor:
        return lib.negative(self)

    def __pos__(self) -> Tensor:
        return lib.positive(self)

    def __abs__(self) -> Tensor:
        return lib.abs(self)

    def __invert__(self) -> Tensor:
        return lib.bitwise_invert(self)

    def __and__(self, other: Any, /) -> Tensor:
        return lib.bitwise_and(self, other)

    def __rand__(self, other: Any, /) -> Tensor:
        return lib.bitwise_and(other, self)

    def __or__(self, other: Any, /) -> Tensor:
        return lib.bitwise_or(self, other)

    def __ror__(self, other: Any, /) -> Tensor:
        return lib.bitwise_or(other, self)

    def __xor__(self, other: Any, /) -> Tensor:
        return lib.bitwise_xor(self, other)

    def __rxor__(self, other: Any, /) -> Tensor:
        return lib.bitwise_xor(other, self)

    def __lshift__(self, other: Any, /) -> Tensor:
        return lib.bitwise_left_shift(self, other)

    def __rlshift__(self, other: Any, /) -> Tensor:
        return lib.bitwise_left_shift(other, self)

    def __rshift__(self, other: Any, /) -> Tensor:
        return lib.bitwise_right_shift(self, other)

    def __rrshift__(self, other: Any, /) -> Tensor:
        return lib.bitwise_right_shift(other, self)

    def __eq__(self, other: object, /) -> Tensor:  # type: ignore[override]  # pyright: ignore[reportIncompatibleMethodOverride]
        return lib.equal(self, other)

    def __ne__(self, other: object, /) -> Tensor:  # type: ignore[override]  # pyright: ignore[reportIncompatibleMethodOverride]
        return lib.not_equal(self, other)

    def __lt__(self, other: Any, /) -> Tensor:
        return lib.less(self, other)

    def __le__(self, other: Any, /) -> Tensor:
        return lib.less_equal(self, other)

    def __gt__(self, other: Any, /) -> Tensor:
        return lib.greater(self, other)

    def __ge__(self, other: Any, /) -> Tensor:
        return lib.greater_equal(self, other)

    # -- functions as methods ----------------------------------------------------------------------

    def sum(self, axis: Axis = None, *, dtype: Any = None, keepdims: bool = False) -> Tensor:
        """`isograd.sum` of this tensor."""
        return lib.sum(self, axis=axis, dtype=dtype, keepdims=keepdims)

    def prod(self, axis: Axis = None, *, dtype: Any = None, keepdims: bool = False) -> Tensor:
        """`isograd.prod` of this tensor."""
        return lib.prod(self, axis=axis, dtype=dtype, keepdims=keepdims)

    def mean(self, axis: Axis = None, *, keepdims: bool = False) -> Tensor:
        """`isograd.mean` of this tensor."""
        return lib.mean(self, axis=axis, keepdims=keepdims)

    def var(self, axis: Axis = None, *, correction: float = 0.0, keepdims: bool = False) -> Tensor:
        """`isograd.var` of this tensor."""
        return lib.var(self, axis=axis, correction=correction, keepdims=keepdims)

    def std(self, axis: Axis = None, *, correction: float = 0.0, keepdims: bool = False) -> Tensor:
        """`isograd.std` of this tensor."""
        return lib.std(self, axis=axis, correction=correction, keepdims=keepdims)

    def max(self, axis: Axis = None, *, keepdims: bool = False) -> Tensor:
        """`isograd.max` of this tensor."""
        return lib.max(self, axis=axis, keepdims=keepdims)

    def min(self, axis: Axis = None, *, keepdims: bool = False) -> Tensor:
        """`isograd.min` of this tensor."""
        return lib.min(self, axis=axis, keepdims=keepdims)

    def any(self, axis: Axis = None, *, keepdims: bool = False) -> Tensor:
        """`isograd.any` of this tensor."""
        return lib.any(self, axis=axis, keepdims=keepdims)

    def all(self, axis: Axis = None, *, keepdims: bool = False) -> Tensor:
        """`isograd.all` of this tensor."""
        return lib.all(self, axis=axis, keepdims=keepdims)

    def argmax(self, axis: int | None = None, *, keepdims: bool = False) -> Tensor:
        """`isograd.argmax` of this tensor."""
        return lib.argmax(self, axis=axis, keepdims=keepdims)

    def argmin(self, axis: int | None = None, *, keepdims: bool = False) -> Tensor:
        """`isograd.argmin` of this tensor."""
        return lib.argmin(self, axis=axis, keepdims=keepdims)

    def reshape(self, *shape: Any) -> Tensor:
        """`isograd.reshape` of this tensor; the shape as one tuple or as several integers."""
        return lib.reshape(self, shape[0] if len(shape) == 1 else shape)

    def permute(self, *axes: Any) -> Tensor:
        """`isograd.permute_dims` of this tensor; the axes as one tuple or as several integers."""
        return lib.permute_dims(
            self, axes[0] if len(axes) == 1 and not isinstance(axes[0], int) else axes
        )

    def flatten(self, start: int = 0, end: int = -1) -> Tensor:
        """Return the tensor with axes ``start`` to ``end`` made one."""
        return lib.flatten(self, start, end)

    def squeeze(self, axis: int | tuple[int, ...]) -> Tensor:
        """`isograd.squeeze` of this tensor."""
        return lib.squeeze(self, axis)

    def clip(self, min: Any = None, max: Any = None) -> Tensor:  # noqa: A002 - the array API's names
        """`isograd.clip` of this tensor."""
        return lib.clip(self, min, max)

    def conj(self) -> Tensor:
        """`isograd.conj` of this tensor."""
        return lib.conj(self)

    def exp(self) -> Tensor:
        """`isograd.exp` of this tensor."""
        return lib.exp(self)

    def log(self) -> Tensor:
        """`isograd.log` of this tensor."""
        return lib.log(self)

    def sqrt(self) -> Tensor:
        """`isograd.sqrt` of this tensor."""
        return lib.sqrt(self)

    def tanh(self) -> Tensor:
        """`isograd.tanh` of this tensor."""
        return lib.tanh(self)


Axis = int | Sequence[int] | None
