"""Fourier transforms: as NumPy's, energies, adjoints, compiled, over many examples."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import isograd as ig

NORMS = ("backward", "ortho", "forward")
ONE = ("fft", "ifft", "rfft", "irfft", "hfft", "ihfft")
SEVERAL = ("fftn", "ifftn", "rfftn", "irfftn")
TWO = ("fft2", "ifft2", "rfft2", "irfft2")


def values(name: str, shape: tuple[int, ...], dtype: str = "float64") -> np.ndarray:
    rng = np.random.default_rng(len(name))
    x = rng.normal(size=shape)
    if name.startswith(("rfft", "ihfft")):
        return x.astype(dtype)
    return (x + 1j * rng.normal(size=shape)).astype(np.result_type(dtype, np.complex64))


def close(found: ig.Tensor, right: np.ndarray, tolerance: float = 1e-13) -> None:
    assert found.shape == right.shape
    assert found.dtype == right.dtype
    np.testing.assert_allclose(found.numpy(), right, rtol=0, atol=tolerance * np.abs(right).max())


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("norm", NORMS)
def test_as_numpy(norm: Any, dtype: str, backend: str) -> None:
    """Lengths odd and even, cut and filled up; axes of either sign; dtypes are NumPy 2's."""
    tolerance = 1e-13 if dtype == "float64" else 1e-5
    for name in ONE:
        for shape, n, axis in (((7,), None, -1), ((3, 8), 5, 1), ((4, 3), 9, -2), ((5, 2), 2, 0)):
            x = values(name, shape, dtype)
            right = getattr(np.fft, name)(x, n=n, axis=axis, norm=norm)
            close(getattr(ig.fft, name)(ig.tensor(x), n=n, axis=axis, norm=norm), right, tolerance)
    for name in (*SEVERAL, *TWO):
        for s, axes in ((None, (0, 1)), ((5, 4), (-1, 0)), ((2, 6), (1, 2))):
            x = values(name, (3, 4, 5), dtype)
            right = getattr(np.fft, name)(x, s=s, axes=axes, norm=norm)
            close(getattr(ig.fft, name)(ig.tensor(x), s=s, axes=axes, norm=norm), right, tolerance)


@pytest.mark.parametrize("n", [1, 2, 5, 8])
def test_frequencies_and_order(n: int) -> None:
    for d in (1.0, 0.25):
        close(ig.fft.fftfreq(n, d=d, dtype="float64"), np.fft.fftfreq(n, d), 1e-15)
        close(ig.fft.rfftfreq(n, d=d, dtype="float64"), np.fft.rfftfreq(n, d), 1e-15)
    x = ig.tensor(np.arange(float(2 * n)).reshape(2, n))
    for axes in (None, 1, (0, 1)):
        shifted = ig.fft.fftshift(x, axes=axes)
        np.testing.assert_array_equal(shifted.numpy(), np.fft.fftshift(x.numpy(), axes))
        np.testing.assert_array_equal(ig.fft.ifftshift(shifted, axes=axes).numpy(), x.numpy())
    with pytest.raises(ig.DTypeError, match="complex64"):
        ig.fft.fftfreq(n, dtype="complex64")


def test_dtypes() -> None:
    assert ig.fft.fft(ig.ones(3, dtype="float16")).dtype == "complex64"
    assert ig.fft.rfft(ig.arange(3)).dtype == "complex64"
    assert ig.fft.ihfft([1.0, 2.0]).dtype == "complex64"
    assert ig.fft.irfft(ig.ones(3, dtype="float64")).dtype == "float64"
    assert ig.fft.hfft(ig.ones(3, dtype="complex128")).dtype == "float64"
    assert ig.fft.fftn(ig.tensor(2.0, dtype="float64")).item() == 2.0


def test_energies_are_kept(backend: str) -> None:
    """Parseval's theorem, for all norms, and for halves whose middle counts twice."""
    x = ig.tensor(values("fft", (6, 9)))
    energy = ig.real(x * ig.conj(x)).sum().item()
    for name, factor in (("ortho", 1.0), ("backward", 1 / 54), ("forward", 54.0)):
        spectrum = ig.fft.fftn(x, norm=name)
        found = ig.real(spectrum * ig.conj(spectrum)).sum().item() * factor
        assert found == pytest.approx(energy, rel=1e-13)
    half = ig.fft.rfft(x.real, norm="ortho").numpy()
    weights = np.array([1, 2, 2, 2, 2])
    assert np.sum(weights * np.abs(half) ** 2) == pytest.approx(np.sum(x.real.numpy() ** 2))


def test_inverses() -> None:
    for n in (7, 8):
        z, x = ig.tensor(values("fft", (3, n))), ig.tensor(values("rfft", (3, n)))
        for norm in NORMS:
            close(ig.fft.ifft(ig.fft.fft(z, norm=norm), norm=norm), z.numpy())
            close(ig.fft.irfft(ig.fft.rfft(x, norm=norm), n=n, norm=norm), x.numpy())
            close(ig.fft.hfft(ig.fft.ihfft(x, norm=norm), n=n, norm=norm), x.numpy())
            again = ig.fft.irfftn(ig.fft.rfftn(x, norm=norm), s=(3, n), norm=norm)
            close(again, x.numpy())


@pytest.mark.parametrize("name", ONE)
@pytest.mark.parametrize("length", [(6, None), (7, None), (6, 4), (5, 8), (1, None), (2, 1)])
def test_pullbacks_are_adjoint(name: str, length: tuple[int, int | None], backend: str) -> None:
    """<A x, y> == <x, A* y> in the real inner product, for every length and norm."""
    size, n = length
    if name in ("irfft", "hfft") and size == 1 and n is None:
        return  # of no length
    for norm in NORMS:
        x = ig.tensor(values(name, (size,)))
        out, pull = ig.vjp(lambda x, m=norm: getattr(ig.fft, name)(x, n=n, norm=m), x)
        rng = np.random.default_rng(1)
        y = rng.normal(size=out.shape) + 1j * rng.normal(size=out.shape)
        y = (y if ig.iscomplexobj(out) else y.real).astype(out.dtype)
        (back,) = pull(ig.tensor(y))
        left = np.sum(np.real(np.conj(out.numpy()) * y))
        right = np.sum(np.real(np.conj(x.numpy()) * back.numpy()))
        assert left == pytest.approx(right, rel=1e-12, abs=1e-12)


def test_what_irfft_ignores_has_no_gradient() -> None:
    """The imaginary parts of the first bin, and of the last one of an even length."""
    for n, ignored in ((6, [0, 3]), (7, [0])):
        z = ig.tensor(values("irfft", (n // 2 + 1,)))
        found = ig.grad(lambda z, n=n: (ig.fft.irfft(z, n=n) ** 3).sum())(z).numpy()
        assert [k for k in range(z.size) if found[k].imag == 0] == ignored


# -- with everything else --------------------------------------------------------------------------


def filtered(x: ig.Tensor, w: ig.Tensor) -> ig.Tensor:
    """Return the energy of a signal after a filter that is given in frequencies."""
    return (ig.fft.irfft(ig.fft.rfft(x, norm="ortho") * w, n=x.shape[-1], norm="ortho") ** 2).sum()


def test_compiled(backend: str) -> None:
    x, w = ig.tensor(values("rfft", (3, 9), "float32")), ig.tensor(values("fft", (5,), "float32"))
    both = ig.value_and_grad(filtered, argnums=(0, 1))
    eager, program = both(x, w), ig.compile(both)(x, w)
    for one, other in zip(ig.tree_flatten(eager)[0], ig.tree_flatten(program)[0], strict=True):
        close(other, one.numpy(), 1e-6)


def test_one_program_trains_a_filter(backend: str) -> None:
    """The whole step, transforms and update, is compiled; the loss falls as it does eagerly."""
    x = ig.tensor(values("rfft", (4, 16), "float32"))
    target = ig.fft.irfft(ig.fft.rfft(x) * ig.tensor(values("fft", (9,), "float32")))

    def train(compiled: bool) -> list[float]:
        parts = ig.nn.Parameter(ig.ones((9, 2)))
        optimizer = ig.optim.SGD([parts], lr=0.5)

        def step(x: ig.Tensor, target: ig.Tensor) -> ig.Tensor:
            out = ig.fft.irfft(ig.fft.rfft(x) * ig.view_as_complex(parts))
            loss = ((out - target) ** 2).mean()
            loss.backward()
            optimizer.step()
            optimizer.zero_grad()
            return loss

        run = ig.compile(step, state=optimizer) if compiled else step
        return [run(x, target).item() for _ in range(20)]

    eager, program = train(False), train(True)
    np.testing.assert_allclose(program, eager, rtol=1e-4)
    assert eager[-1] < 0.5 * eager[0]


def test_hessian_and_its_products() -> None:
    x, w = ig.tensor(values("rfft", (6,))), ig.tensor(values("fft", (4,)))
    full = ig.hessian(lambda x: filtered(x, w))(x).numpy()
    matrix = np.stack(
        [
            np.fft.irfft(np.fft.rfft(e, norm="ortho") * w.numpy(), n=6, norm="ortho")
            for e in np.eye(6)
        ],
        axis=1,
    )
    np.testing.assert_allclose(full, 2 * matrix.T @ matrix, atol=1e-12)
    t = values("rfft", (6,))
    _, (product,) = ig.hvp(lambda x: filtered(x, w), (x,), (ig.tensor(t),))
    np.testing.assert_allclose(product.numpy(), full @ t, atol=1e-12)


def test_many_examples_at_once(backend: str) -> None:
    x, w = ig.tensor(values("rfft", (5, 3, 8))), ig.tensor(values("fft", (5, 5)))
    each = ig.grad(filtered, argnums=(0, 1))
    found = ig.vmap(each)(x, w)
    for i in range(5):
        for one, other in zip(each(x[i], w[i]), found, strict=True):
            close(other[i], one.numpy())
    z = ig.tensor(values("fft", (2, 4, 3)))
    together = ig.vmap(lambda z: ig.abs(ig.fft.fftn(ig.conj(z) * ig.complex(z.real, z.imag))))(z)
    for i in range(2):
        right = np.abs(np.fft.fftn(np.conj(z.numpy()[i]) * z.numpy()[i]))
        close(together[i], right)
