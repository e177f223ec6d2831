"""Complex numbers: dtypes, weak scalars, refusals, and the convention of derivatives."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

import isograd as ig
from isograd.ops.derivatives import COMPLEX
from isograd.testing.op_db import OpSpec, primitive_specs

Z = np.array([1.0 + 2.0j, -0.5 - 1.0j, 0.25j], np.complex128)


# -- dtypes and numbers ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("dtype", "number", "joined"),
    [
        ("complex64", 2, "complex64"),
        ("complex64", 2.5, "complex64"),
        ("complex64", 1j, "complex64"),
        ("complex128", 1j, "complex128"),
        ("float16", 1j, "complex64"),
        ("float32", 1j, "complex64"),
        ("float64", 1j, "complex128"),
        ("int32", 1j, "complex64"),
        ("bool", 1j, "complex64"),
    ],
)
def test_a_number_beside_a_tensor_does_not_widen_it(
    dtype: str, number: complex, joined: str
) -> None:
    x = ig.ones(2, dtype=dtype)
    for out in (x * number, number * x):
        assert out.dtype == joined
        assert out.tolist() == [number, number]


def test_creation(backend: str) -> None:
    assert ig.tensor([1.0, 2j]).dtype == ig.asarray(1j).dtype == ig.full((), 1j).dtype == "c8"
    assert ig.tensor(Z).dtype == ig.complex128
    assert ig.tensor(Z, dtype=complex).dtype == ig.complex64
    assert ig.zeros(2, dtype="complex64").tolist() == [0j, 0j]
    assert ig.eye(2, dtype="complex128").dtype == ig.complex128
    assert ig.linspace(0, 1j, 3).tolist() == [0j, 0.5j, 1j]
    assert ig.ones_like(ig.tensor(Z)).tolist() == [1, 1, 1]
    assert ig.tril(ig.ones((2, 2), dtype=complex)).tolist() == [[1, 0], [1, 1]]
    assert ig.tensor(Z[0]).item() == complex(ig.tensor(Z[0])) == Z[0]
    assert repr(ig.tensor(Z[:1])) == "tensor([1.+2.j], dtype=complex128)"
    assert ig.astype(ig.tensor(Z), bool).tolist() == [True, True, True]
    assert bool(ig.tensor(0.5j))
    assert ig.isdtype("complex64", ("bool", "complex floating"))
    assert ig.iscomplexobj(Z)
    assert ig.isrealobj(Z.real)


def test_signed_zeros_of_numbers_are_kept() -> None:
    x = ig.zeros((), dtype="complex128")
    for number in (complex(0.0, 0.0), complex(0.0, -0.0), complex(-0.0, 0.0)):
        found = ig.where(True, number, x).item()
        assert str(found) == str(number)


def test_parts_are_attributes() -> None:
    z, x = ig.tensor(Z), ig.tensor(Z.real)
    np.testing.assert_array_equal(z.real.numpy(), Z.real)
    np.testing.assert_array_equal(z.imag.numpy(), Z.imag)
    np.testing.assert_array_equal(z.conj().numpy(), Z.conj())
    assert x.real is x
    assert ig.conj(x) is x
    assert x.imag.tolist() == [0.0, 0.0, 0.0]
    assert ig.angle(ig.tensor([-2.0, 2.0], dtype="float64")).tolist() == [math.pi, 0.0]


def test_infinite_parts_do_not_mix(backend: str) -> None:
    assert str(ig.complex(1.0, math.inf).item()) == "(1+infj)"
    kernel = ig.backend.xp_kernels(np)["complex"]
    assert str(kernel(np.float32(1.0), np.float32(np.inf))) == "(1+infj)"


def test_functions_beyond_the_standard(backend: str) -> None:
    holed = np.array([1.0 + 2.0j, complex(math.nan, 1.0), 3.0j, complex(2.0, math.inf)])
    z = ig.tensor(holed)
    for name in ("nansum", "nanmean", "nan_to_num"):
        close = getattr(ig, name)(z).numpy()
        np.testing.assert_allclose(close, getattr(np, name)(holed), rtol=1e-12)
    assert ig.isclose(ig.tensor(Z), ig.tensor(Z * (1 + 1e-7j))).tolist() == [True, True, True]
    assert ig.allclose(ig.tensor(Z), ig.tensor(Z + 1j)) is False
    ids = ig.tensor([0, 1, 0])
    means = ig.segment_mean(ig.tensor(Z), ids).numpy()
    np.testing.assert_allclose(means, [(Z[0] + Z[2]) / 2, Z[1]])
    updated = ig.tensor(Z).at[[0, 0]].multiply(2j).at[1].divide(2.0).numpy()
    np.testing.assert_allclose(updated, [-4 * Z[0], Z[1] / 2, Z[2]])
    with pytest.raises(ig.DTypeError, match=r"^segment_max: .*complex128"):
        ig.segment_max(ig.tensor(Z), ids)


# -- refusals --------------------------------------------------------------------------------------

NEEDS_REAL = (
    *("floor", "ceil", "trunc", "erf", "signbit", "max", "min", "argmax", "argmin", "sort"),
    *("argsort", "var", "std", "logsumexp", "clip", "median", "nanvar", "nanstd", "nanmax"),
    *("nanmin", "sinc"),
)
NEEDS_TWO_REAL = (
    *("maximum", "minimum", "less", "less_equal", "greater", "greater_equal", "atan2", "hypot"),
    *("logaddexp", "copysign", "nextafter", "floor_divide", "remainder"),
)


@pytest.mark.parametrize("name", [*NEEDS_REAL, *NEEDS_TWO_REAL])
def test_what_needs_real_numbers_says_so(name: str, backend: str) -> None:
    z = ig.tensor(Z)
    args = (z,) if name in NEEDS_REAL else (z, 1.0)
    with pytest.raises(ig.DTypeError, match=rf"^{name}: .*complex128\[3\].* isograd\.real"):
        getattr(ig, name)(*args)


@pytest.mark.parametrize("name", ["relu", "gelu", "sigmoid", "softmax", "layer_norm", "conv2d"])
def test_layers_refuse_complex_numbers(name: str) -> None:
    z = ig.ones((1, 2, 3, 3), dtype="complex64")
    static: dict[str, Any] = {
        "layer_norm": {"normalized_shape": (3,)},
        "conv2d": {"weight": z},
        "softmax": {"dim": 1},
    }
    with pytest.raises(ig.DTypeError, match="complex64"):
        getattr(ig.nn.functional, name)(z, **static.get(name, {}))


def test_complex_numbers_do_not_become_real() -> None:
    z = ig.tensor(Z)
    for wrong in (
        lambda: z.astype("float64"),
        lambda: z.to("int64"),
        lambda: float(z[0]),
        lambda: int(z[0]),
        lambda: ig.full((), 1j, dtype="float32"),
        lambda: ig.full_like(z.real, 1j),
        lambda: ig.pad(z.real, 1, constant_values=1j),
        lambda: ig.complex(z, 1.0),
    ):
        with pytest.raises(ig.DTypeError):
            wrong()


#: Primitives that take complex numbers, and have no derivative for any.
FLAT = {"isnan", "isinf", "isfinite", "stop_gradient", "equal", "not_equal", "round"}


def test_the_primitives_that_follow_complex_numbers_are_listed() -> None:
    prims = ig.ops.PRIMITIVES
    assert {name for name, prim in prims.items() if prim.complex} == set(COMPLEX)
    assert all(prims[name].rule is None for name in FLAT)


def _as_complex(x: np.ndarray) -> np.ndarray:
    return x.astype(np.complex64) if x.dtype == np.float32 else x


@pytest.mark.parametrize(
    "spec",
    [s for s in primitive_specs().values() if s.name not in (*COMPLEX, *FLAT)],
    ids=lambda spec: spec.name,
)
def test_other_primitives_refuse_them(spec: OpSpec) -> None:
    """Whatever was not thought through for complex numbers says so, and computes nothing."""
    dtype = "float32" if "float32" in spec.dtypes else spec.dtypes[0]
    sample = next(iter(spec.samples(np.random.default_rng(0), np.dtype(dtype))))
    args = [_as_complex(x) for x in sample.args]
    if all(x.dtype.kind != "c" for x in args):
        args = [x.astype(np.complex64) for x in args]
    if args:
        with pytest.raises(ig.DTypeError, match="complex64"):
            spec.fn(*map(ig.tensor, args), **sample.kwargs)


def test_a_rule_that_is_not_marked_is_never_followed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ig.ops.PRIMITIVES["exp"], "complex", False)
    z = ig.tensor(Z, requires_grad=True)
    with pytest.raises(ig.AutodiffError, match=r"^exp: .*complex.*custom_vjp"):
        ig.exp(z)
    assert ig.exp(z.detach()).dtype == ig.complex128
    assert ig.exp(ig.real(z)).requires_grad


def test_a_gradient_is_that_of_a_real_loss() -> None:
    z = ig.tensor(Z, requires_grad=True)
    with pytest.raises(ig.AutodiffError, match="real loss"):
        z.sum().backward()
    with pytest.raises(ig.AutodiffError, match="real loss"):
        ig.grad(lambda z: z.sum())(z)
    with pytest.raises(ig.AutodiffError, match="view_as_real"):
        ig.jacobian(lambda z: z * z)(z)
    z.sum().backward(ig.tensor(1j, dtype="complex128"))
    assert z.grad is not None
    assert z.grad.tolist() == [1j, 1j, 1j]


# -- derivatives -----------------------------------------------------------------------------------


def test_the_gradient_is_the_direction_of_steepest_ascent() -> None:
    """dL/dRe + i dL/dIm: of |z|^2 it is 2 z, of Re(c z) it is conj(c)."""
    z = ig.tensor(Z)
    squared = ig.grad(lambda z: ig.real(z * ig.conj(z)).sum())(z)
    np.testing.assert_allclose(squared.numpy(), 2 * Z)
    linear = ig.grad(lambda z: ig.real((2 + 3j) * z).sum())(z)
    np.testing.assert_allclose(linear.numpy(), np.full(3, 2 - 3j))


def test_gradients_at_0_are_0() -> None:
    z = ig.zeros(2, dtype="complex128")
    for fn in (ig.abs, ig.angle, lambda z: ig.real(ig.sign(z)), ig.linalg.vector_norm):
        assert ig.grad(lambda z, f=fn: f(z).sum())(z).tolist() == [0j, 0j]


CUTS = {
    "asin": (2.0 + 0.0j, complex(2.0, -0.0), -2.0 + 0.0j, complex(-2.0, -0.0)),
    "acos": (2.0 + 0.0j, complex(2.0, -0.0), -2.0 + 0.0j, complex(-2.0, -0.0)),
    "acosh": (-2.0 + 0.0j, complex(-2.0, -0.0), 0.5 + 0.0j, complex(0.5, -0.0)),
    "asinh": (2.0j, complex(-0.0, 2.0), -2.0j, complex(-0.0, -2.0)),
    "sqrt": (-2.0 + 0.0j, complex(-2.0, -0.0)),
    "log": (-2.0 + 0.0j, complex(-2.0, -0.0)),
}


@pytest.mark.parametrize("name", CUTS)
def test_both_sides_of_branch_cuts(name: str) -> None:
    """On a cut, the sign of zero says from which side it is approached."""
    fn = getattr(ig, name)
    for point in CUTS[name]:
        z = ig.tensor(point, dtype="complex128")
        away = 1j if name != "asinh" else 1.0
        part = z.imag.item() if name != "asinh" else z.real.item()
        step = 1e-6 * away * math.copysign(1.0, part)
        found = ig.jvp(fn, (z,), (ig.tensor(step / 1e-6, dtype="complex128"),))[1].item()
        numeric = (fn(z + step).item() - fn(z).item()) / 1e-6
        assert abs(found - numeric) < 1e-5 * abs(numeric), point


def test_jacobians_of_parts() -> None:
    """The rows of d Re(z^2) and d Im(z^2) are the gradients 2 conj(z) and 2i conj(z)."""
    found = ig.jacobian(lambda z: ig.view_as_real(z * z))(ig.tensor(Z)).numpy()
    right = np.stack([2 * Z.conj(), 2j * Z.conj()], axis=1)
    np.testing.assert_allclose(found[range(3), :, range(3)], right)
    assert np.count_nonzero(found) == 6


def test_hessians_go_through_complex_numbers(backend: str) -> None:
    x = ig.tensor([0.5, -1.0], dtype="float64")
    found = ig.hessian(lambda x: ig.real(ig.exp(1j * x) * (1.0 - 2.0j)).sum())(x)
    right = np.diag(np.real(-np.exp(1j * x.numpy()) * (1.0 - 2.0j)))
    np.testing.assert_allclose(found.numpy(), right, rtol=1e-12)


def test_products_with_vectors_of_a_hessian() -> None:
    """The second derivative of sum |z|^4 along t is 4 Re(conj(z) t) 2 z + 4 |z|^2 t."""
    t = np.array([1.0, -1.0j, 2.0 + 1.0j])
    gradient, product = ig.hvp(
        lambda z: (ig.real(z * ig.conj(z)) ** 2).sum(), (ig.tensor(Z),), (ig.tensor(t),)
    )
    np.testing.assert_allclose(gradient[0].numpy(), 4 * np.abs(Z) ** 2 * Z)
    right = 8 * np.real(Z.conj() * t) * Z + 4 * np.abs(Z) ** 2 * t
    np.testing.assert_allclose(product[0].numpy(), right)


def test_nan_safe_keeps_zero_cotangents() -> None:
    z = ig.zeros(2, dtype="complex64")
    with ig.nan_safe():
        found = ig.grad(lambda z: (ig.real(ig.sqrt(z)) * 0.0).sum())(z)
    assert found.tolist() == [0j, 0j]


def test_checkpoints_and_rules_of_ones_own() -> None:
    z = ig.tensor(Z)
    loss = lambda f: lambda z: ig.abs(f(z)).sum()  # noqa: E731
    plain = ig.grad(loss(lambda z: ig.exp(z * z)))(z)
    again = ig.grad(loss(ig.checkpoint(lambda z: ig.exp(z * z))))(z)
    np.testing.assert_array_equal(plain.numpy(), again.numpy())

    @ig.custom_vjp
    def squared(z: ig.Tensor) -> ig.Tensor:
        return z * z

    squared.defvjp(lambda z: (z * z, z), lambda z, ct: (ct * ig.conj(2.0 * z),))
    own = ig.grad(loss(lambda z: ig.exp(squared(z))))(z)
    np.testing.assert_allclose(own.numpy(), plain.numpy(), rtol=1e-12)


# -- compiled --------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", ["complex64", "complex128"])
def test_compiled_functions_give_the_same(dtype: str, backend: str) -> None:
    def loss(z: ig.Tensor, x: ig.Tensor, number: float) -> ig.Tensor:
        moved = ig.concat([ig.flip(z, axis=0).mT, ig.pad(z.mT, [(0, 0), (1, 1)])], axis=1)
        chosen = ig.where(ig.real(moved) > 0, ig.exp(moved) * number, ig.reshape(moved, (7, -1)))
        mixed = (chosen @ ig.conj(chosen).mT) * x + ig.sum(moved) / ig.tanh(z[1, 2])
        return ig.abs(mixed).sum() + (ig.imag(z)[[0, 0, 3]] ** 2).sum()

    rng = np.random.default_rng(0)
    z = ig.tensor((rng.normal(size=(5, 7)) + 1j * rng.normal(size=(5, 7))).astype(dtype))
    x = ig.tensor(rng.normal(size=(7, 7)).astype(dtypes_component(dtype)))
    both = ig.value_and_grad(loss, argnums=(0, 1))
    for one, other in zip(
        ig.tree_flatten(both(z, x, 0.5))[0],
        ig.tree_flatten(ig.compile(both)(z, x, 0.5))[0],
        strict=True,
    ):
        assert one.dtype == other.dtype
        tolerance = 1e-4 if dtype == "complex64" else 1e-11
        np.testing.assert_allclose(other.numpy(), one.numpy(), rtol=tolerance, atol=tolerance)


def dtypes_component(dtype: str) -> str:
    return "float32" if dtype == "complex64" else "float64"


def test_compiled_moves_and_strides(backend: str) -> None:
    """Generated loops copy complex numbers whatever their memory looks like."""
    wide = np.arange(24.0).reshape(4, 6) * (1 - 2j)

    @ig.compile
    def moved(z: ig.Tensor) -> tuple[ig.Tensor, ...]:
        part = z[1:, ::2]
        return (
            part.mT,
            ig.flip(part, axis=1),
            ig.concat([part, part], axis=1),
            ig.reshape(z, (3, 8)),
        )

    for dtype in ("complex64", "complex128"):
        z = wide.astype(dtype)
        found = [out.numpy() for out in moved(ig.tensor(z))]
        part = z[1:, ::2]
        right = [part.T, part[:, ::-1], np.concatenate([part, part], axis=1), z.reshape(3, 8)]
        for one, other in zip(found, right, strict=True):
            np.testing.assert_array_equal(one, other)


def test_a_complex_number_is_an_argument_of_a_compiled_function() -> None:
    turned = ig.compile(lambda z, c: z * c)
    z = ig.tensor(Z.astype(np.complex64))
    for number in (1j, 2.0 - 1.0j):
        np.testing.assert_allclose(turned(z, number).numpy(), (z * number).numpy())


# -- with the rest of the library ------------------------------------------------------------------


def test_gradcheck_takes_complex_arguments_and_results() -> None:
    from isograd.testing import gradcheck

    report = gradcheck(lambda z, x: ig.exp(z * z) + x, ig.tensor(Z * 0.3), ig.tensor([1.0]))
    assert report.size == 7

    wrong = ig.custom_vjp(lambda z: z * z)
    wrong.defvjp(lambda z: (z * z, z), lambda z, ct: (ct * 2.0 * z,))  # not conjugated
    failed = gradcheck(wrong, ig.tensor(Z), raise_exception=False)
    assert not failed.ok
    assert "argument 0" in failed.failures[0].argument


class _Filter(ig.nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.w = ig.nn.Parameter(ig.tensor(Z.astype(np.complex64)))

    def forward(self, x: ig.Tensor) -> ig.Tensor:
        return ig.fft.irfft(ig.fft.rfft(x) * self.w, n=x.shape[-1])


def test_modules_may_have_complex_parameters() -> None:
    from isograd.testing import gradcheck

    model = _Filter()
    assert gradcheck(model, ig.tensor([1.0, -2.0, 0.5, 3.0])).size == 10
    model(ig.ones(4)).sum().backward()
    assert model.w.grad is not None
    assert model.w.grad.dtype == ig.complex64
    assert model.to("float64").w.dtype == ig.complex128
    assert _Filter().load_state_dict(model.to("float32").state_dict())
    norm = ig.nn.utils.clip_grad_norm_([_with_gradient(3.0 + 4.0j)], 1.0)
    assert norm.item() == pytest.approx(5.0)


def _with_gradient(value: complex) -> ig.nn.Parameter:
    made = ig.nn.Parameter(ig.tensor([value]))
    made.grad = ig.tensor([value])
    return made


def test_optimizers_refuse_complex_parameters() -> None:
    for make in (ig.optim.SGD, ig.optim.Adam):
        with pytest.raises(ig.DTypeError, match=r"parameter 0 is complex64\[3\]"):
            make(_Filter().parameters(), lr=0.1)


def test_files(tmp_path: Any) -> None:
    z = ig.tensor(Z)
    ig.io.save_npz({"z": z}, tmp_path / "a.npz")
    np.testing.assert_array_equal(ig.io.load_npz(tmp_path / "a.npz")["z"].numpy(), Z)
    pytest.importorskip("safetensors", reason="reads and writes through the safetensors package")
    path = tmp_path / "a.safetensors"
    with pytest.raises(ig.DTypeError, match=r"'z' is complex128.*view_as_real"):
        ig.io.save_safetensors({"z": z}, path)
    ig.io.save_safetensors({"z": z.astype("complex64")}, path)
    assert ig.io.load_safetensors(path)["z"].dtype == ig.complex64


def test_interchange() -> None:
    import copy
    import pickle

    z = ig.tensor(Z)
    for back in (pickle.loads(pickle.dumps(z)), copy.deepcopy(z), ig.asarray(np.asarray(z))):
        np.testing.assert_array_equal(back.numpy(), Z)
    info = ig.__array_namespace_info__()
    assert info.default_dtypes()["complex floating"] == ig.complex64
    assert list(info.dtypes(kind="complex floating")) == ["complex64", "complex128"]
    assert ig.result_type(ig.float64, 1j) == ig.complex128
    assert ig.can_cast("float32", "complex64")
    assert not ig.can_cast("complex64", "float64")


def test_the_watch_for_nan_sees_complex_ones() -> None:
    from isograd.debug import nan_origin

    found = nan_origin(lambda z: ig.abs(z / z).sum(), ig.zeros(2, dtype="complex64"))
    assert found is not None
    assert found.op == "div"
