"""Tensors and the arrays of CUDA's other libraries: whose memory it is, and how long it lives."""

from __future__ import annotations

import gc
import weakref
from typing import Any

import cupy
import numpy as np
import pytest

import isograd as ig
from isograd.core import capsule, dtypes

RNG = np.random.default_rng(0)
HALF = "bfloat16" if dtypes.bfloat16() is not None else "float16"


class Foreign:
    """An array that has nothing but ``__cuda_array_interface__``, with changes to it."""

    def __init__(self, array: Any, **changes: Any) -> None:
        self.array, self.changes = array, changes

    @property
    def __cuda_array_interface__(self) -> dict[str, Any]:
        return {**self.array.__cuda_array_interface__, **self.changes}


def on_gpu(values: Any, device: int = 0) -> Any:
    """Return a CuPy array, by a copy that needs no kernel of CuPy."""
    host = np.ascontiguousarray(values)
    with cupy.cuda.Device(device):
        out = cupy.ndarray(host.shape, host.dtype)
        out.set(host)
    return out


def two_gpus() -> None:
    if cupy.cuda.runtime.getDeviceCount() < 2:
        pytest.skip("there is one GPU")


MATRIX = RNG.standard_normal((4, 6)).astype(np.float32)
VIEWS = {
    "whole": lambda a: a,
    "transposed": lambda a: a.T,
    "reversed": lambda a: a[::-1, ::-2],
    "strided": lambda a: a[1::2, ::3],
    "repeated": lambda a: (cupy if isinstance(a, cupy.ndarray) else np).broadcast_to(a[0], (3, 6)),
    "no axes": lambda a: a[2, 3],
    "no elements": lambda a: a[:0],
}
DTYPES = ["bool", "int8", "int64", "uint16", "float16", "float64", "complex64", "complex128", HALF]


@pytest.mark.parametrize("wrap", [lambda a: a, Foreign], ids=["dlpack", "interface"])
@pytest.mark.parametrize("view", VIEWS)
def test_arrays_of_any_strides_come_in(view: str, wrap: Any) -> None:
    theirs, right = VIEWS[view](on_gpu(MATRIX)), VIEWS[view](MATRIX)
    for copy in (None, True, False):
        ours = ig.asarray(wrap(theirs), copy=copy)
        assert (ours.device, ours.shape) == (ig.device("cuda"), right.shape)
        np.testing.assert_array_equal(ours.numpy(), right)
        np.testing.assert_array_equal((ours * 2.0).numpy(), right * 2)
        shares = ours.array.data.ptr == theirs.data.ptr
        assert shares == (copy is False) or not right.size


@pytest.mark.parametrize("dtype", DTYPES)
def test_numbers_of_each_kind_go_both_ways(dtype: str) -> None:
    values = np.array([[3, 0, 1], [1, 1, 0]]).astype(dtypes.as_dtype(dtype))
    theirs = on_gpu(values)
    ours = ig.from_dlpack(theirs, copy=False)
    assert ours.dtype == values.dtype
    assert ours.array.data.ptr == theirs.data.ptr
    back = cupy.from_dlpack(ours, copy=False)
    assert (back.data.ptr, back.dtype) == (theirs.data.ptr, values.dtype)
    np.testing.assert_array_equal(cupy.from_dlpack(ours).get(), values)


@pytest.mark.parametrize("name", ["tensor", "from_dlpack", "asarray"])
def test_a_copy_does_not_see_what_the_owner_writes(name: str) -> None:
    theirs = on_gpu([1.0, 2.0])
    ours = getattr(ig, name)(theirs)
    theirs.set(np.array([9.0, 9.0]))
    assert ours.tolist() == [1.0, 2.0]


@pytest.mark.parametrize("copy", [None, True, False])
@pytest.mark.parametrize("take", ["flip", "broadcast_to", "whole"])
def test_tensors_go_to_cupy_with_their_strides(take: str, copy: bool | None) -> None:
    x = ig.tensor([1.0, 2.0, 3.0], device="cuda")
    made = {"flip": lambda: ig.flip(x), "broadcast_to": lambda: ig.broadcast_to(x, (2, 3))}
    x = made.get(take, lambda: x)()
    theirs = cupy.from_dlpack(x, copy=copy)
    assert (theirs.data.ptr == x.array.data.ptr) == (copy is False)
    assert theirs.get().tolist() == x.tolist()
    if copy is not False:  # it is theirs to write
        cupy.ndarray.fill(theirs, 9.0)
        assert x.to("cpu").tolist() != theirs.get().tolist()
    theirs = cupy.asarray(x)
    assert (theirs.data.ptr, theirs.strides) == (x.array.data.ptr, x.array.strides)


def test_shared_memory_is_marked_as_read_only() -> None:
    x = ig.tensor([1.0, 2.0], device="cuda")
    assert capsule.Capsule(x.__dlpack__(max_version=(1, 0), copy=False)).read_only
    assert not capsule.Capsule(x.__dlpack__(max_version=(1, 0))).read_only
    facts = x.__cuda_array_interface__
    assert facts["data"] == (x.array.data.ptr, True)
    assert (facts["shape"], facts["typestr"], facts["version"]) == ((2,), "<f4", 3)
    with pytest.raises(BufferError, match=r"marked as read-only, which needs max_version=\(1, 0\)"):
        x.__dlpack__(copy=False)


def test_memory_lives_as_long_as_anyone_looks_at_it() -> None:
    for wrap in (Foreign, lambda a: a):
        theirs = on_gpu(MATRIX)
        gone = weakref.ref(theirs)
        ours = ig.asarray(wrap(theirs), copy=False)
        del theirs
        gc.collect()
        spare = [on_gpu(np.zeros_like(MATRIX)) for _ in range(8)]  # would take memory that is free
        np.testing.assert_array_equal(ours.numpy(), MATRIX)
        del ours
        gc.collect()
        assert gone() is None
    for export in (lambda x: cupy.from_dlpack(x, copy=False), cupy.asarray):
        x = ig.tensor(MATRIX, device="cuda")
        theirs = export(x)
        del x
        gc.collect()
        spare += [on_gpu(np.zeros_like(MATRIX)) for _ in range(8)]
        np.testing.assert_array_equal(theirs.get(), MATRIX)


def test_arrays_are_where_they_say() -> None:
    two_gpus()
    theirs = on_gpu(MATRIX, 1)
    for wrap in (Foreign, lambda a: a):
        for copy in (None, False):
            ours = ig.asarray(wrap(theirs), copy=copy)
            assert ours.device is ig.device("cuda:1")
            assert (ours.array.data.ptr == theirs.data.ptr) == (copy is False)
            np.testing.assert_array_equal((ours + ours).numpy(), MATRIX + MATRIX)
    assert ig.from_dlpack(theirs, device="cuda").device is ig.device("cuda")
    with pytest.raises(BufferError, match="another dtype or device needs a copy"):
        ig.from_dlpack(theirs, device="cuda", copy=False)
    with pytest.raises(ValueError, match="asarray: another dtype or device needs a copy"):
        ig.asarray(theirs, dtype="float64", copy=False)
    back = cupy.from_dlpack(ig.tensor(MATRIX, device="cuda:1"))
    assert back.device.id == 1
    np.testing.assert_array_equal(back.get(), MATRIX)
    assert cupy.cuda.runtime.getDevice() == 0


def test_gpus_and_the_host_exchange_by_copies_that_are_asked_for() -> None:
    theirs = on_gpu(MATRIX)
    ours = ig.from_dlpack(theirs, device="cpu")
    assert ours.device is ig.device("cpu")
    np.testing.assert_array_equal(ours.numpy(), MATRIX)
    x = ig.tensor(MATRIX, device="cuda")
    np.testing.assert_array_equal(np.from_dlpack(x, device="cpu"), MATRIX)
    with pytest.raises(BufferError, match="is asked for without a copy; move it with"):
        x.__dlpack__(dl_device=(1, 0), copy=False)
    with pytest.raises(BufferError, match=r"on cuda, and device \(2, 1\) is asked for"):
        x.__dlpack__(dl_device=(2, 1))
    with pytest.raises(ig.DeviceMismatchError, match=r"__array__: .* on cuda; .*\.to\('cpu'\)"):
        np.asarray(x)


def test_streams_are_ordered(emulator_if_any: Any) -> None:
    x = ig.tensor([1.0, 2.0], device="cuda")
    assert x.__cuda_array_interface__["stream"] == 1  # the default one
    stream = cupy.cuda.Stream(non_blocking=True)
    with stream:
        assert x.__cuda_array_interface__["stream"] == stream.ptr
        assert cupy.from_dlpack(x, copy=False).get().tolist() == [1.0, 2.0]
        ours = ig.from_dlpack(cupy.from_dlpack(x))
        stream.synchronize()
    assert ours.tolist() == [1.0, 2.0]
    if emulator_if_any is None:
        return
    theirs, waits = on_gpu([1.0, 2.0]), emulator_if_any.counts
    # An interface names the stream that computes it, which the host waits for; None: nobody does.
    before = waits().synchronisations
    ig.asarray(Foreign(theirs, stream=None), copy=False)
    assert waits().synchronisations == before
    ig.asarray(Foreign(theirs, stream=stream.ptr), copy=False)
    assert waits().synchronisations == before + 1
    ig.from_dlpack(theirs)  # in the order of the current stream
    assert waits().synchronisations == before + 1


class Refuses:
    """An object whose one method must not be asked for."""

    def __dlpack_device__(self) -> tuple[int, int]:
        return 2, 7

    def __dlpack__(self, **_: Any) -> Any:
        raise AssertionError("there is no such device")


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda a: Foreign(a, mask=a), ig.DTypeError, "has a mask, and tensors have none; fill"),
        (lambda a: Foreign(a, typestr=">f4"), ig.DTypeError, "numbers are '>f4'.*native numbers"),
        (lambda a: Foreign(a, typestr="|V4"), ig.DTypeError, r"numbers are '\|V4', which tensors"),
        (lambda a: Foreign(a, strides=(6,)), BufferError, "not multiples of the 4 bytes of float"),
        (
            lambda a: Foreign(a, data=(a.data.ptr + 2, False)),
            BufferError,
            "not multiples of the 4 bytes of float32; make a contiguous copy first",
        ),
        (
            lambda a: Foreign(a, data=(MATRIX.ctypes.data, False)),
            BufferError,
            "is no memory of a GPU; copy it there first",
        ),
        (lambda a: [a[0], a[1]], ig.DTypeError, "tensor: NumPy cannot read .*isograd.stack"),
        (lambda a: Refuses(), ig.UnknownDeviceError, "'cuda:7' does not exist here; use one of"),
    ],
)
def test_what_cannot_come_in_is_refused(make: Any, error: type, message: str) -> None:
    bad = make(on_gpu(np.ones(2, np.float32)))
    with pytest.raises(error, match=message):
        ig.tensor(bad)


def test_what_cannot_go_out_is_refused() -> None:
    x = ig.ones(2, device="cuda")
    tracked = x.detach().requires_grad_()
    with pytest.raises(ig.AutodiffError, match=r"requires gradients.*\.detach\(\)"):
        cupy.asarray(tracked)
    with pytest.raises(BufferError, match=r"requires gradients.*\.detach\(\)"):
        cupy.from_dlpack(tracked)
    if HALF == "bfloat16":
        with pytest.raises(ig.DTypeError, match=r"no word for bfloat16; .*cupy\.from_dlpack"):
            cupy.asarray(x.astype(HALF))


@pytest.mark.parametrize("operate", [lambda x, a: x + a, lambda x, a: a + x], ids=["+", "radd"])
def test_arrays_of_cupy_are_no_operands(operate: Any) -> None:
    x, theirs = ig.ones(2, device="cuda"), on_gpu(np.ones(2, np.float32))
    with pytest.raises(ig.DTypeError, match=r"add: cannot take cupy\.ndarray;.*isograd\.asarray"):
        operate(x, theirs)
    with pytest.raises(ig.DTypeError, match=r"exp: cannot take cupy\.ndarray"):
        ig.exp(theirs)
    assert (x + ig.asarray(theirs)).tolist() == [2.0, 2.0]
