"""Linear algebra on the GPU: small matrices by our kernels, large ones by cuSOLVER."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import cupy
import numpy as np
import pytest

import isograd as ig
from isograd import linalg
from isograd.testing.harness import applies, check_op
from isograd.testing.op_db import OpSpec
from isograd.testing.op_db.linalg import PRIMITIVES
from isograd_cupy import _cusolver, _linalg


@pytest.fixture
def large(monkeypatch: Any) -> None:
    """Let no matrix be small."""
    monkeypatch.setattr(_linalg, "SMALL", 0)


@pytest.mark.usefixtures("large")
@pytest.mark.parametrize("check", ["forward", "extreme", "layouts", "backends", "errors"])
@pytest.mark.parametrize("spec", PRIMITIVES, ids=lambda spec: spec.name)
def test_rows_by_cusolver(
    spec: OpSpec, check: str, emulator_if_any: Any, record_property: Any
) -> None:
    if not applies(spec, check):
        return
    before = None if emulator_if_any is None else emulator_if_any.counts()
    cells = list(check_op(spec, check, "cupy"))
    record_property("cells", len(cells))
    assert [str(cell) for cell in cells if not cell.ok] == []
    if before is not None and spec.name != "solve_triangular" and check == "forward":
        assert emulator_if_any.counts().decompositions > before.decompositions


# -- matrices that are hard ------------------------------------------------------------------------


def _rotation(rng: np.random.Generator, n: int) -> np.ndarray[Any, Any]:
    return np.linalg.qr(rng.standard_normal((n, n)))[0]


def hard(shape: tuple[int, int]) -> Iterator[tuple[str, np.ndarray[Any, Any]]]:
    """Yield matrices of a shape with singular values that are equal, 0, tiny or huge."""
    rng, (n, m), k = np.random.default_rng(0), shape, min(shape)
    left, right = _rotation(rng, n)[:, :k], _rotation(rng, m)[:k]
    yield "random", rng.standard_normal(shape)
    yield "zero", np.zeros(shape)
    yield "ones", np.ones(shape)
    yield "identity", np.eye(n, m)
    yield "rank 2", rng.integers(-2, 3, (n, 2)) @ rng.integers(-2, 3, (2, m)) * 1.0
    yield "graded", left * 10.0 ** -np.linspace(0, 12, k) @ right
    yield "in two groups", left * np.where(np.arange(k) < k // 2, 3.0, 1.0) @ right
    yield "huge", rng.standard_normal(shape) * 1e30
    yield "tiny", rng.standard_normal(shape) * 1e-32


SHAPES = [(1, 1), (2, 2), (5, 5), (9, 4), (4, 9), (33, 33), (64, 64), (64, 17), (3, 64)]


def both(test: Callable[..., None]) -> Callable[..., None]:
    """Run a test by our kernels, and by cuSOLVER."""
    marked = pytest.mark.parametrize("small", [64, 0], ids=["small", "cuSOLVER"])
    return marked(pytest.mark.parametrize("dtype", ["float32", "float64"])(test))


def far(found: Any, wanted: Any, scale: float, roundings: float, dtype: str) -> bool:
    return bool(np.abs(found - wanted).max(initial=0.0) > scale * roundings * np.finfo(dtype).eps)


@both
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_factors_of_hard_matrices(
    shape: tuple[int, int], dtype: str, small: int, cuda: Any, monkeypatch: Any
) -> None:
    monkeypatch.setattr(_linalg, "SMALL", small)
    (n, m), k = shape, min(shape)
    for name, values in hard(shape):
        x = values.astype(dtype).astype(np.float64)
        u, s, vh = [part.numpy() * 1.0 for part in linalg.svd(ig.tensor(x, dtype=dtype))]
        q, r = [p.numpy() * 1.0 for p in linalg.qr(ig.tensor(x, dtype=dtype), mode="complete")]
        scale, room = np.abs(x).max() * 1.0, 8.0 * max(shape)
        right = np.linalg.svd(x, compute_uv=False)
        assert not far(s, right, float(right[0]), room, dtype), name
        assert not far(linalg.svdvals(ig.tensor(x, dtype=dtype)).numpy(), s, scale, room, dtype)
        assert (np.diff(s) <= 0).all(), name
        for basis, size in ((u, n), (vh.T, m), (q, n)):
            assert not far(basis.T @ basis, np.eye(size), 1.0, room, dtype), name
        assert not far(u[:, :k] * s.astype(np.float64) @ vh[:k], x, scale, room, dtype), name
        assert not far(q.astype(np.float64) @ r, x, scale, room, dtype), name
        assert not np.tril(r, -1).any(), name
        assert (np.diagonal(r) >= 0).all(), name


@both
@pytest.mark.parametrize("n", [1, 2, 7, 32, 64])
def test_eigenvalues_of_hard_matrices(
    n: int, dtype: str, small: int, cuda: Any, monkeypatch: Any
) -> None:
    monkeypatch.setattr(_linalg, "SMALL", small)
    for name, values in hard((n, n)):
        x = (values + values.T).astype(dtype).astype(np.float64)
        w, v = [part.numpy() * 1.0 for part in linalg.eigh(ig.tensor(x, dtype=dtype))]
        scale, room = np.abs(x).max() * 1.0, 8.0 * n
        right = np.linalg.eigvalsh(x)
        assert not far(w, right, float(np.abs(right).max()), room, dtype), name
        assert not far(linalg.eigvalsh(ig.tensor(x, dtype=dtype)).numpy(), w, scale, room, dtype)
        assert not far(v.T @ v, np.eye(n), 1.0, room, dtype), name
        assert not far(v * w.astype(np.float64) @ v.T, x, scale, room, dtype), name


@both
def test_a_side_beyond_small(dtype: str, small: int, cuda: Any, emulator_if_any: Any) -> None:
    """Sides of 64 are the last that our kernels take."""
    side = 64 if small else 65
    x = ig.eye(side, dtype=dtype) * 2.0
    before = None if emulator_if_any is None else emulator_if_any.counts().decompositions
    values = (
        linalg.det(x * 0.5),
        linalg.eigvalsh(x)[0],
        linalg.svdvals(x)[-1],
        linalg.inv(x)[3, 3],
    )
    assert [v.item() for v in values] == [1.0, 2.0, 2.0, 0.5]
    np.testing.assert_allclose(linalg.expm(x)[4, 4].item(), np.exp(2.0), rtol=1e-6)
    if before is not None:
        assert (emulator_if_any.counts().decompositions > before) == (side > 64)


# -- waiting, and graphs ---------------------------------------------------------------------------

FREE = {
    "det": linalg.det,
    "slogdet": linalg.slogdet,
    "qr": linalg.qr,
    "eigh": linalg.eigh,
    "svd": linalg.svd,
    "pinv": linalg.pinv,
    "expm": linalg.expm,
    "gradient of det": ig.grad(lambda x: ig.sum(linalg.det(x))),
}
CHECKED = {
    "cholesky": linalg.cholesky,
    "inv": linalg.inv,
    "solve": lambda x: linalg.solve(x, x),
    "solve_triangular": lambda x: linalg.solve_triangular(x, x, upper=True),
}
BATCH = np.stack([np.diag([2.0, 3.0, 4.0]) + 0.5] * 6).reshape(2, 3, 3, 3)


@pytest.mark.parametrize("name", [*FREE, *CHECKED])
def test_how_often_small_matrices_are_waited_for(name: str, cuda: Any, emulator: Any) -> None:
    x, fn = ig.tensor(BATCH), {**FREE, **CHECKED}[name]
    fn(x)
    before = emulator.counts()
    fn(x)
    after = emulator.counts()
    assert after.synchronisations - before.synchronisations == (name in CHECKED)
    assert after.decompositions == before.decompositions
    assert after.launches - before.launches < 60  # whatever the size of the batch


@pytest.mark.parametrize("name", [*FREE, *CHECKED])
def test_programs_record_small_matrices(name: str, cuda: Any, emulator: Any) -> None:
    x, fn = ig.tensor(BATCH), {**FREE, **CHECKED}[name]
    compiled = ig.compile(fn)
    compiled(x * 2.0)
    assert compiled.programs[0].native.captured
    before = emulator.counts()
    found = compiled(x)
    after = emulator.counts()
    assert after.graph_launches == before.graph_launches + 1
    assert after.synchronisations - before.synchronisations == (name in CHECKED)
    for part, wanted in zip(_parts(found), _parts(fn(x)), strict=True):
        np.testing.assert_allclose(part.numpy(), wanted.numpy(), rtol=1e-12, atol=1e-12)


def _parts(found: Any) -> tuple[Any, ...]:
    return found if isinstance(found, tuple) else (found,)


@pytest.mark.usefixtures("large")
def test_programs_with_cusolver_are_launched_step_by_step(cuda: Any) -> None:
    compiled = ig.compile(lambda x: linalg.inv(x) @ x)
    with pytest.warns(RuntimeWarning, match="cannot be recorded.*: inv, .*cuSOLVER"):
        compiled(ig.tensor(BATCH))
    for scale in (1.0, 3.0):
        found = compiled(ig.tensor(BATCH * scale)).numpy()
        np.testing.assert_allclose(found, np.broadcast_to(np.eye(3), BATCH.shape), atol=1e-14)
    assert not compiled.programs[0].native.captured


@pytest.mark.usefixtures("large")
def test_programs_record_cublas(cuda: Any, emulator_if_any: Any) -> None:
    compiled = ig.compile(CHECKED["solve_triangular"])
    for scale in (1.0, 2.0, 3.0):
        x = ig.tensor(BATCH * scale)
        wanted = CHECKED["solve_triangular"](x).numpy()
        np.testing.assert_array_equal(compiled(x).numpy(), wanted)
    assert compiled.programs[0].native.captured


# -- errors ----------------------------------------------------------------------------------------


@both
@pytest.mark.parametrize("name", CHECKED)
def test_an_error_names_the_matrix(
    name: str, dtype: str, small: int, cuda: Any, monkeypatch: Any
) -> None:
    monkeypatch.setattr(_linalg, "SMALL", small)
    good, bad = BATCH.copy(), BATCH.copy()
    bad[1, 2], bad[1, 1], bad[0, 1] = 0.0, np.nan, np.inf
    said = rf"{name}: matrix \[1, 2\] of the argument of shape \(2, 3, 3, 3\)"
    fn = ig.compile(CHECKED[name])
    with pytest.raises(ig.LinAlgError, match=said):
        CHECKED[name](ig.tensor(bad, dtype=dtype))
    if small:
        for _ in range(2):  # when it is recorded, and when it is replayed
            with pytest.raises(ig.LinAlgError, match=said):
                fn(ig.tensor(bad, dtype=dtype))
            assert np.isfinite(fn(ig.tensor(good, dtype=dtype)).numpy()).all()
    bad[1, 2] = BATCH[0, 0]
    found = CHECKED[name](ig.tensor(bad, dtype=dtype)).numpy()
    assert np.isnan(found[1, 1]).any()
    assert np.isnan(found[0, 1]).any()
    assert np.isfinite(found[[0, 0, 1, 1], [0, 2, 0, 2]]).all()


def test_a_broadcast_matrix_is_named_as_it_was_passed(cuda: Any) -> None:
    said = r"solve: matrix \[0\] of the argument of shape \(1, 2, 2\)"
    with pytest.raises(ig.LinAlgError, match=said):
        linalg.solve(ig.zeros((1, 2, 2)), ig.ones((3, 2, 1)))


def test_a_program_that_fails_changes_no_state(cuda: Any) -> None:
    weight = ig.nn.Parameter(ig.eye(3))
    optimizer = ig.optim.SGD([weight], lr=0.1)

    @ig.compile(state=(optimizer, weight))
    def step(x: Any) -> Any:
        loss = ig.sum(linalg.inv(x) @ weight)
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        return loss

    step(ig.eye(3))
    before = weight.numpy().copy()
    with pytest.raises(ig.LinAlgError, match="inv: the matrix of the argument"):
        step(ig.zeros((3, 3)))
    assert np.array_equal(weight.numpy(), before)


def test_one_step_of_a_loop_is_named(cuda: Any) -> None:
    def fn(xs: Any) -> Any:
        return ig.scan(lambda h, x: (h + linalg.inv(x), h), ig.zeros((2, 2)), xs)[0]

    compiled, good = ig.compile(fn), np.stack([np.eye(2)] * 4)
    bad = good.copy()
    bad[2] = 0.0
    assert compiled(ig.tensor(good, dtype="float32")).tolist() == [[4.0, 0.0], [0.0, 4.0]]
    with pytest.raises(ig.LinAlgError, match="inv: the matrix of the argument"):
        compiled(ig.tensor(bad, dtype="float32"))


# -- cuSOLVER --------------------------------------------------------------------------------------


def test_cusolver_has_what_is_called() -> None:
    text = Path(_cusolver.__file__).read_text()
    called = set(re.findall(r'_call\("(\w+)"', text))
    called |= {f"{name}_bufferSize" for name in re.findall(r'_room\("(\w+)"', text)}
    assert called == set(_cusolver.CALLS)
    for name in called:
        for letter in "sd":
            assert hasattr(cupy.cuda.cusolver, letter + name)


@pytest.mark.usefixtures("large")
def test_an_error_of_cusolver_names_the_function(
    cuda: Any, emulator: Any, monkeypatch: Any
) -> None:
    from isograd_cupy import _debug

    x = ig.tensor(BATCH)
    monkeypatch.setattr(_debug._Settings, "debug", True)
    emulator.fail_late(700)
    with pytest.raises(RuntimeError, match="failed on the GPU"):
        linalg.det(x)
    assert np.isfinite(linalg.det(x).numpy()).all()
