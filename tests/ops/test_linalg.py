"""Linear algebra beyond the table: named results, special matrices, what has no derivative."""

from __future__ import annotations

import numpy as np
import pytest

import isograd as ig
from isograd import linalg

FIELDS = {
    "eigh": ("eigenvalues", "eigenvectors"),
    "qr": ("Q", "R"),
    "slogdet": ("sign", "logabsdet"),
    "svd": ("U", "S", "Vh"),
}
STANDARD = """
    cholesky cross det diagonal eigh eigvalsh inv matmul matrix_norm matrix_power matrix_rank
    matrix_transpose outer pinv qr slogdet solve svd svdvals tensordot trace vecdot vector_norm
"""


def matrix(*rows: list[float]) -> ig.Tensor:
    return ig.tensor(rows, dtype="float64")


@pytest.mark.parametrize("name", STANDARD.split())
def test_the_extension_of_the_standard_is_complete(name: str) -> None:
    assert name in linalg.__all__
    assert callable(getattr(linalg, name))


@pytest.mark.parametrize(("name", "fields"), FIELDS.items())
def test_results_have_the_names_of_the_standard(name: str, fields: tuple[str, ...]) -> None:
    out = getattr(linalg, name)(matrix([2.0, 1.0], [0.0, 1.0]))
    assert isinstance(out, tuple)
    assert out._fields == fields


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
def test_results_have_the_dtype_of_the_matrix(dtype: str, backend: str) -> None:
    x = ig.tensor([[2.0, 1.0], [1.0, 3.0]], dtype=dtype)
    for name in ("cholesky", "inv", "det", "eigvalsh", "svdvals", "pinv", "expm"):
        assert getattr(linalg, name)(x).dtype == x.dtype
    for name in ("eigh", "qr", "slogdet", "svd"):
        assert {part.dtype for part in getattr(linalg, name)(x)} == {x.dtype}


def test_integers_become_the_default_float() -> None:
    assert linalg.inv(ig.tensor([[2, 0], [0, 4]])).tolist() == [[0.5, 0.0], [0.0, 0.25]]
    assert linalg.det(ig.tensor([[2, 0], [0, 4]])).dtype == ig.float32


def test_complex_matrices_are_refused() -> None:
    with pytest.raises(ig.DTypeError, match=r"inv: .*complex64"):
        linalg.inv(ig.tensor([[1j]]))


def test_gradients_of_16_bit_matrices_are_computed_in_32(backend: str) -> None:
    x = ig.tensor([[2.0, 0.5], [0.25, 1.0]], dtype="float16")
    wide = ig.grad(lambda x: linalg.inv(x).sum())(x.astype("float32"))
    found = ig.grad(lambda x: linalg.inv(x).sum())(x)
    assert found.dtype == ig.float16
    assert found.tolist() == wide.astype("float16").tolist()


def test_an_error_names_the_matrix_and_is_numpys_too(backend: str) -> None:
    x = np.stack([np.eye(2)] * 6).reshape(2, 3, 2, 2)
    x[1, 2] = [[1, 2], [2, 4]]
    with pytest.raises(np.linalg.LinAlgError, match=r"inv: matrix \[1, 2\] of .* \(2, 3, 2, 2\)"):
        linalg.inv(ig.tensor(x))
    with pytest.raises(ValueError, match="solve: matrix"):
        linalg.solve(ig.tensor(x), ig.ones(2, dtype="float64"))


def test_a_broadcast_matrix_is_named_as_it_was_passed() -> None:
    with pytest.raises(
        ig.LinAlgError, match=r"solve: matrix \[0\] of the argument of shape \(1, 2"
    ):
        linalg.solve(ig.zeros((1, 2, 2)), ig.ones((3, 2, 1)))


def test_nan_in_one_matrix_leaves_the_others_alone(backend: str) -> None:
    x = np.stack([np.eye(2), np.full((2, 2), np.nan), 2 * np.eye(2)])
    for name in ("inv", "cholesky", "svdvals", "pinv", "det"):
        out = getattr(linalg, name)(ig.tensor(x)).numpy()
        assert np.isnan(out[1]).any(), name
        assert np.isfinite(out[[0, 2]]).all(), name


def test_derivatives_of_arbitrary_vectors_are_refused() -> None:
    x = ig.ones((3, 2)).requires_grad_()
    with pytest.raises(ig.NotDifferentiableError, match=r"qr: .*\(3, 2\).*reduced"):
        linalg.qr(x, mode="complete").Q.sum().backward()
    with pytest.raises(ig.NotDifferentiableError, match=r"svd: .*full_matrices=False"):
        linalg.svd(x).U.sum().backward()
    linalg.svd(x).S.sum().backward()
    assert x.grad is not None


def test_equal_eigenvalues_have_gradients_and_their_vectors_have_none() -> None:
    x = matrix([2.0, 0.0], [0.0, 2.0])
    assert ig.grad(lambda x: linalg.eigvalsh(x).sum())(x).tolist() == [[1.0, 0.0], [0.0, 1.0]]
    assert np.isnan(ig.grad(lambda x: linalg.eigh(x)[1].sum())(x).numpy()).any()
    assert ig.grad(lambda x: linalg.svdvals(x).sum())(x).tolist() == [[1.0, 0.0], [0.0, 1.0]]


def test_second_derivatives_of_the_determinant_of_the_identity() -> None:
    """The singular values of the identity are all equal, which formulas by the SVD divide by."""
    found = ig.hessian(linalg.det)(matrix([1.0, 0.0], [0.0, 1.0]))
    assert found.numpy().reshape(4, 4).tolist() == [
        [0.0, 0.0, 0.0, 1.0],
        [0.0, 0.0, -1.0, 0.0],
        [0.0, -1.0, 0.0, 0.0],
        [1.0, 0.0, 0.0, 0.0],
    ]


def test_the_logarithm_of_a_singular_determinant() -> None:
    x = matrix([1.0, 1.0], [1.0, 1.0])
    sign, value = linalg.slogdet(x)
    assert (sign.item(), value.item()) == (0.0, -np.inf)
    with pytest.raises(ig.LinAlgError, match="inv"):
        ig.grad(lambda x: linalg.slogdet(x).logabsdet)(x)


def test_lstsq_of_a_deficient_matrix_is_the_shortest_solution(backend: str) -> None:
    out = linalg.lstsq(matrix([1.0, 1.0], [1.0, 1.0]), ig.tensor([2.0, 4.0], dtype="float64"))
    np.testing.assert_allclose(out.solution.numpy(), [1.5, 1.5], rtol=1e-14)
    np.testing.assert_allclose(out.residuals.item(), 2.0, rtol=1e-14)
    assert out.rank.item() == 1


def test_a_triangular_system_reads_one_triangle_only() -> None:
    x = matrix([2.0, np.nan], [1.0, 4.0])
    b = ig.tensor([2.0, 5.0], dtype="float64")
    assert linalg.solve_triangular(x, b, upper=False).tolist() == [1.0, 1.0]
    unit = matrix([np.nan, np.nan], [1.0, np.nan])
    out = linalg.solve_triangular(unit, b, upper=False, unitriangular=True)
    assert out.tolist() == [2.0, 3.0]


def test_signs_are_fixed(backend: str) -> None:
    rng = np.random.default_rng(0)
    for n, m in ((4, 4), (5, 3), (3, 5)):
        x = ig.tensor(rng.normal(size=(6, n, m)))
        q, r = linalg.qr(x)
        assert (linalg.diagonal(r).numpy() >= 0).all()
        u, s, vh = linalg.svd(x, full_matrices=False)
        np.testing.assert_allclose((u * s[:, None, :] @ vh).numpy(), x.numpy(), atol=1e-13)
        np.testing.assert_allclose((q @ r).numpy(), x.numpy(), atol=1e-13)
        size = np.abs(u.numpy())
        first = np.argmax(size > 0.7 * size.max(axis=1, keepdims=True), axis=1)
        assert (np.take_along_axis(u.numpy(), first[:, None], axis=1) > 0).all()


def test_the_norm_of_numpy(backend: str) -> None:
    rng = np.random.default_rng(0)
    x = rng.normal(size=(3, 4, 5))
    for order, axis in ((None, None), (None, 1), (3, -1), (0, 1), ("nuc", (0, 2)), (-1, (2, 1))):
        for keepdims in (False, True):
            found = linalg.norm(ig.tensor(x), order, axis, keepdims).numpy()
            expected = np.linalg.norm(x, order, axis, keepdims)
            np.testing.assert_allclose(found, expected, rtol=1e-13)
            assert found.shape == expected.shape


@pytest.mark.parametrize("ord", [None, 2, -2, "fro", 1, np.inf])
def test_the_condition_of_a_diagonal_matrix(ord: object) -> None:
    found = linalg.cond(matrix([4.0, 0.0], [0.0, 2.0]), ord=ord).item()
    expected = np.linalg.cond(np.diag([4.0, 2.0]), ord)  # type: ignore[arg-type]
    np.testing.assert_allclose(found, expected, rtol=1e-14)


def test_the_condition_of_a_singular_matrix_is_infinite() -> None:
    assert linalg.cond(matrix([1.0, 0.0], [0.0, 0.0])).item() == np.inf
    with pytest.raises(ig.LinAlgError, match="inv"):
        linalg.cond(matrix([1.0, 0.0], [0.0, 0.0]), ord=1)
