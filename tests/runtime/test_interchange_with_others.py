"""DLPack with torch and JAX, both ways."""

from __future__ import annotations

import numpy as np
import pytest

import isograd as ig
from isograd.core.dtypes import bfloat16

pytestmark = pytest.mark.oracle

DTYPES = ["float64", "float32", "float16", "int64", "int32", "int8", "uint8", "bool"] + (
    ["bfloat16"] if bfloat16() is not None else []
)
VIEWS = {
    "whole": lambda x: x,
    "transposed": lambda x: x.T,
    "strided": lambda x: x[:, ::2],
    "row": lambda x: x[1],
    "no elements": lambda x: x[:0],
    "no axes": lambda x: x[0, 0],
}


@pytest.fixture(scope="module")
def torch():
    module = pytest.importorskip("torch", reason="compares with torch")
    module.set_num_threads(1)
    return module


@pytest.fixture(scope="module")
def jnp():
    return pytest.importorskip("jax.numpy", reason="compares with JAX")


def _values(dtype):
    return ig.tensor(np.arange(12).reshape(3, 4) % 5, dtype=dtype)


@pytest.mark.parametrize("view", VIEWS)
@pytest.mark.parametrize("dtype", DTYPES)
def test_torch_both_ways(torch, dtype, view):
    t = VIEWS[view](_values(dtype))
    there = torch.from_dlpack(t)
    assert str(there.dtype) == f"torch.{dtype}"
    assert there.tolist() == t.tolist()
    back = ig.from_dlpack(VIEWS[view](torch.from_dlpack(_values(dtype))))
    assert (back.dtype, back.shape) == (t.dtype, t.shape)
    assert back.tolist() == t.tolist()
    assert ig.tensor(there).dtype == ig.asarray(there).dtype == t.dtype


def test_torch_writes_into_a_copy(torch):
    t = ig.tensor([1.0, 2.0])
    torch.from_dlpack(t).fill_(9.0)
    torch.from_dlpack(t, copy=True).fill_(9.0)
    torch.from_dlpack(t, device="cpu").fill_(9.0)
    assert t.tolist() == [1.0, 2.0]
    theirs = torch.ones(2)
    ours = ig.from_dlpack(theirs)
    theirs.fill_(9.0)
    assert ours.tolist() == [1.0, 1.0]
    with pytest.raises(BufferError, match="marked as read-only"):
        ig.from_dlpack(theirs, copy=False)
    with pytest.raises(BufferError, match="detach"):
        ig.from_dlpack(torch.ones(1, requires_grad=True))
    with pytest.raises(BufferError, match=r"requires gradients.*\.detach\(\)"):
        torch.from_dlpack(ig.ones(1).requires_grad_())


def test_numbers_that_numpy_has_not_are_refused(torch):
    with pytest.raises(ig.DTypeError, match=r"from_dlpack: NumPy cannot read .* 8 bits"):
        ig.from_dlpack(torch.ones(1).to(torch.float8_e4m3fn))


@pytest.mark.parametrize("dtype", [d for d in DTYPES if d not in ("float64", "int64")])
def test_jax_both_ways(jnp, dtype):
    t = _values(dtype)
    there = jnp.from_dlpack(t)
    assert str(there.dtype) == dtype
    assert there.tolist() == t.tolist()
    for source in (there, there.T):
        back = ig.from_dlpack(source)
        assert back.dtype == t.dtype
        assert back.tolist() == source.tolist()
    assert ig.tensor(there).tolist() == t.tolist()


# -- gathering, scattering and ranking as torch does -----------------------------------------------

X = np.random.default_rng(0).normal(size=(4, 5))
INDEX = np.random.default_rng(1).integers(0, 4, (3, 4))
SRC = np.random.default_rng(2).normal(size=(3, 5))
COLUMN = np.array([3, 0, 3])
IDS = np.array([1, 0, 1, 2])

CALLS = {
    "gather": lambda xp, x, s, i, c: xp.gather(x, 0, i),
    "scatter": lambda xp, x, s, i, c: xp.scatter(x, 1, c.reshape(3, 1), s[:, :1]),
    "scatter_add": lambda xp, x, s, i, c: xp.scatter_add(x, 0, i, s[:, :4]),
    "index_select": lambda xp, x, s, i, c: xp.index_select(x, 1, c),
    "index_add": lambda xp, x, s, i, c: xp.index_add(x, 0, c, s, alpha=-1.5),
    "topk": lambda xp, x, s, i, c: xp.topk(x, 2)[0],
    "sort": lambda xp, x, s, i, c: ig.sort(x) if xp is ig else xp.sort(x)[0],
    "several arrays": lambda xp, x, s, i, c: x[c, :][:, None, c],
}


@pytest.mark.parametrize("name", CALLS)
def test_values_and_gradients_are_torchs(torch, backend, name):
    ours, theirs = [], []
    for made, collect in ((ig.tensor, ours), (torch.tensor, theirs)):
        xp = ig if made is ig.tensor else torch
        x, s = made(X, requires_grad=True), made(SRC, requires_grad=True)
        out = CALLS[name](xp, x, s, made(INDEX), made(COLUMN))
        weights = made(np.cos(np.arange(out.shape.numel() if xp is torch else out.size)))
        (out.reshape(-1) * weights).sum().backward()
        collect += [out, x.grad, s.grad]
    for found, right in zip(ours, theirs, strict=True):
        if right is None:
            assert found is None or not found.numpy().any()
        else:
            np.testing.assert_allclose(found.numpy(), right.detach().numpy(), rtol=1e-13)


def test_segments_are_torchs_scatter_reduce(torch, backend):
    for name, how in (("sum", "sum"), ("mean", "mean"), ("max", "amax"), ("min", "amin")):
        x = ig.tensor(X, requires_grad=True)
        out = getattr(ig, f"segment_{name}")(x, ig.tensor(IDS), 3)
        (out * out).sum().backward()
        y = torch.tensor(X, requires_grad=True)
        index = torch.tensor(IDS)[:, None].expand(4, 5)
        right = torch.zeros(3, 5, dtype=y.dtype).scatter_reduce(
            0, index, y, how, include_self=False
        )
        (right * right).sum().backward()
        np.testing.assert_allclose(out.numpy(), right.detach().numpy(), rtol=1e-13)
        np.testing.assert_allclose(x.grad.numpy(), y.grad.numpy(), rtol=1e-13)


def test_ties_of_segments_and_updates_are_shared_as_in_torch(torch, backend):
    values, ids = np.array([2.0, 2.0, 1.0, 2.0]), np.array([0, 0, 0, 1])
    x, y = ig.tensor(values, requires_grad=True), torch.tensor(values, requires_grad=True)
    ig.segment_max(x, ig.tensor(ids), 2).sum().backward()
    zeros = torch.zeros(2, dtype=y.dtype)
    zeros.scatter_reduce(0, torch.tensor(ids), y, "amax", include_self=False).sum().backward()
    assert x.grad.tolist() == y.grad.tolist() == [0.5, 0.5, 0.0, 1.0]


def test_searching_is_torchs(torch, backend):
    edges, x = np.array([-1.0, 0.0, 0.0, 1.0]), np.array([[-2.0, 0.0], [0.5, 9.0]])
    for side in ("left", "right"):
        right = torch.searchsorted(torch.tensor(edges), torch.tensor(x), side=side)
        assert ig.searchsorted(ig.tensor(edges), ig.tensor(x), side=side).tolist() == right.tolist()
    assert ig.isin(ig.tensor(x), ig.tensor(edges)).tolist() == (
        torch.isin(torch.tensor(x), torch.tensor(edges)).tolist()
    )
    counts = torch.bincount(torch.tensor(IDS), torch.tensor(X[:, 0]), minlength=5)
    found = ig.bincount(ig.tensor(IDS), ig.tensor(X[:, 0]), minlength=5)
    assert found.tolist() == counts.tolist()
