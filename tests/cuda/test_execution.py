"""Ring 2: kernels in several thread orders, from poisoned memory, and before guard pages."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from cuda_sources import every_source

import isograd as ig
from isograd import nn, optim
from isograd.nn import functional as F

ORDERS = (0, 1, 5, 77)


def images(x: Any) -> Any:
    return ig.reshape(x, (5, 2, 7, 37))


def weights(x: Any) -> Any:
    return ig.reshape(x[:8, :9], (4, 2, 3, 3))


def attend(x: Any, *, causal: bool) -> Any:
    """Attention of two heads over 35 keys, some of which a mask hides."""
    q = ig.reshape(x, (2, 37, 35))
    k, v = ig.sin(q[:, :35]), ig.reshape(x, (2, 35, 37))
    mask = None if causal else ig.arange(35) % 5 > 0
    return F.scaled_dot_product_attention(q, k, v, mask, is_causal=causal)


def unit_rows(x: Any) -> Any:
    """Subtract and divide by what rows have in common: three reductions, one after the other."""
    shifted = ig.exp(x - ig.max(x, axis=1, keepdims=True))
    return shifted / ig.sum(shifted, axis=1, keepdims=True) + ig.min(x * x, axis=1, keepdims=True)


def unit_columns(x: Any) -> Any:
    """Do the same for columns."""
    shifted = ig.exp(x - ig.max(x, axis=0, keepdims=True))
    return shifted / ig.sum(shifted, axis=0, keepdims=True)


def long_rows(x: Any) -> Any:
    """Return the outer product of a column and of as many numbers as make rows long."""
    return x[:, :1] * ig.sin(ig.arange(2500, dtype="float32"))


def updated(x: Any) -> Any:
    """Return what two optimizers make of a matrix in two steps, one after the other."""
    weight = nn.Parameter(x)
    rules = optim.SGD([weight], lr=0.1, momentum=0.9), optim.AdamW([weight], lr=0.01)
    for rule in (*rules, *rules):
        ig.sum(ig.square(weight)).backward()
        rule.step()
        rule.zero_grad()
    return weight.detach()


def whole(x: Any) -> Any:
    """Return complex numbers with the parts of x, rows of which are turned around."""
    return ig.complex(x, x[:, ::-1])


def apart(x: Any) -> Any:
    """Return a square matrix whose eigenvalues and singular values lie apart."""
    return x[:19, :19] * 0.1 + ig.diag(ig.arange(1.0, 20.0, dtype="float32"))


def positive(x: Any) -> Any:
    """Return a matrix that has a Cholesky factor."""
    return x @ ig.permute_dims(x, (1, 0)) / 70.0 + ig.eye(37)


def singular(x: Any) -> Any:
    """Return singular vectors, in order, beneath what they and the values multiply to."""
    u, s, vh = ig.linalg.svd(apart(x)[:, :15])
    return ig.concat([u[:, :15], s * ig.permute_dims(vh, (1, 0)), u[:, :15] * s @ vh])


#: Names and functions of a float32 matrix (37, 70); together they launch every kind of kernel.
CASES = {
    "elementwise": lambda x: ig.exp(x) + ig.permute_dims(ig.permute_dims(x, (1, 0)), (1, 0)),
    "sum of all": lambda x: ig.sum(x),
    "sum of rows": lambda x: ig.sum(x, axis=1),
    "sum of columns": lambda x: ig.sum(x, axis=0),
    "sum of many": lambda x: ig.sum(ig.broadcast_to(x[:, None], (37, 70, 70)), axis=(1, 2)),
    "max of columns": lambda x: ig.max(x, axis=0),
    "any": lambda x: ig.any(x > 2.0, axis=1),
    "argmax": lambda x: ig.argmax(x, axis=1),
    "argmin of columns": lambda x: ig.argmin(x, axis=0),
    "cumulative sum": lambda x: ig.cumulative_sum(ig.reshape(x, (-1,)), axis=0),
    "cumulative product": lambda x: ig.cumulative_prod(x, axis=1),
    "softmax": lambda x: F.softmax(x, dim=1),
    "softmax of columns": lambda x: F.softmax(x, dim=0),
    "log_softmax": lambda x: F.log_softmax(ig.broadcast_to(x[:, :1], (37, 300)), dim=1),
    "logsumexp": lambda x: ig.logsumexp(x, axis=1),
    "cross-entropy": lambda x: F.cross_entropy(x, ig.arange(37) % 7, label_smoothing=0.1),
    "gradient of cross-entropy": ig.grad(lambda x: F.cross_entropy(x, ig.arange(37) % 7)),
    "argsort": lambda x: ig.argsort(x, axis=1),
    "take": lambda x: ig.take(x, ig.arange(9) * 4 - 1, axis=0),
    "gradient of take": ig.grad(
        lambda x: ig.sum(ig.sin(ig.arange(1, 51)[:, None] * ig.take(x, ig.arange(50) % 3, axis=0)))
    ),
    "take along": lambda x: ig.take_along_axis(x, ig.argsort(x, axis=1), axis=1),
    "windows": lambda x: F.avg_pool1d(x[:, None], 3, 2, 1),
    "gradient of windows": ig.grad(lambda x: ig.sum(ig.square(F.avg_pool1d(x[:, None], 3, 2, 1)))),
    "convolution": lambda x: F.conv2d(images(x), weights(x)[:, :1], stride=2, padding=1, groups=2),
    "gradient of convolution": ig.grad(
        lambda x: ig.sum(ig.square(F.conv2d(images(x), weights(x), padding=(2, 0), dilation=2)))
    ),
    "long sums of a weight": ig.grad(
        lambda x: ig.sum(ig.sin(F.conv1d(ig.reshape(x, (1, 1, -1)), x[:3, None, :5])))
    ),
    "maxima of windows": lambda x: F.max_pool2d(images(x), 3, 2, 1),
    "gradient of maxima": ig.grad(lambda x: ig.sum(ig.square(F.max_pool2d(images(x), 3, 2, 1)))),
    "places of maxima": lambda x: F.max_pool2d(images(x), 3, 2, 1, return_indices=True)[1],
    "layer norm": ig.grad(lambda x: ig.sum(ig.sin(F.layer_norm(x, (70,))))),
    "norm of channels": ig.grad(lambda x: ig.sum(ig.sin(F.instance_norm(images(x))))),
    "gelu of one column": lambda x: F.gelu(x[:, :1]),
    "attention": lambda x: attend(x, causal=True),
    "gradient of attention": ig.grad(lambda x: ig.sum(ig.square(attend(x, causal=False)))),
    "gradient of softmax": ig.grad(lambda x: ig.sum(ig.sin(F.softmax(x, dim=1)))),
    "gradient of log_softmax": ig.grad(lambda x: ig.sum(ig.sin(F.log_softmax(x, dim=1)))),
    "gradient of take along": ig.grad(
        lambda x: ig.sum(ig.sin(ig.take_along_axis(x, ig.argsort(x, axis=1)[:, :30] // 3, axis=1)))
    ),
    "setting": lambda x: x.at[ig.arange(30) % 7].set(x[:30] * 2.0),
    "columns folded": ig.grad(lambda x: ig.sum(ig.square(F.unfold(images(x), 3, padding=1)))),
    "uniform": lambda x: ig.random.uniform(shape=(1023,)),
    "updates": updated,
    "compiled rows": lambda x: ig.compile(unit_rows)(x),
    "compiled columns": lambda x: ig.compile(unit_columns)(x),
    "compiled long rows": lambda x: ig.compile(lambda x: unit_rows(long_rows(x)))(x),
    "compiled tests of rows": lambda x: ig.compile(
        lambda x: ig.any(x > 2.0, axis=1) & ~ig.all(x < 1.5, axis=1)
    )(x),
    "Cholesky factor": lambda x: ig.linalg.cholesky(positive(x)),
    "elimination": lambda x: ig.linalg.solve(apart(x)[::-1], x[:19, :5]),
    "inverse": lambda x: ig.linalg.inv(apart(x)[::-1]),
    "determinants": lambda x: ig.linalg.det(ig.reshape(x[:36, :48], (192, 3, 3)) + 3.0 * ig.eye(3)),
    "substitution": lambda x: ig.linalg.solve_triangular(apart(x), x[:19], upper=True),
    "reflections": lambda x: ig.concat(ig.linalg.qr(apart(x)[:, :11], mode="complete"), axis=1),
    "eigenvectors": lambda x: ig.linalg.eigh(apart(x)).eigenvectors,
    "singular vectors": singular,
    "pseudo-inverse": lambda x: ig.linalg.pinv(apart(x)[:, :15]),
    "cofactors": ig.grad(lambda x: ig.linalg.det(x[:3, :3] + 3.0 * ig.eye(3))),
    "exponential": lambda x: ig.linalg.expm(apart(x) * 0.5),
    "matrix product": lambda x: x @ ig.permute_dims(x, (1, 0)),
    "integer product": lambda x: ig.astype(x * 8.0, ig.int32) @ ig.ones((70, 3), dtype="int32"),
    "padding": lambda x: ig.concat([x[:, ::-1], x[:, 3:5]], axis=1),
    "dropout": lambda x: F.dropout(x, 0.4),
    "normal": lambda x: ig.random.normal((1023,), dtype="float64"),
    "half": lambda x: ig.astype(x, ig.float16) * 3.0,
    "complex": lambda x: ig.sqrt(whole(x)) / (2.5 - 1j * x) * ig.conj(whole(x)),
    "complex sides of cuts": lambda x: ig.asin(ig.complex(3.0 + ig.abs(x), 0.0 * x)),
    "complex rows": lambda x: ig.sum(whole(x), axis=1) + ig.cumulative_sum(whole(x), axis=1)[:, 3],
    "complex columns": lambda x: ig.sum(whole(x), axis=0),
    "complex product": lambda x: whole(x) @ ig.permute_dims(whole(x), (1, 0)),
    "complex updates": lambda x: whole(x).at[ig.arange(30) % 7].add(whole(x)[:30]),
    "spectrum": lambda x: ig.fft.fft2(whole(x)),
    "real spectrum": lambda x: ig.fft.irfft(ig.fft.rfft(x, axis=0) * 2.0, n=36, axis=0),
    "compiled spectrum": lambda x: ig.compile(
        lambda x: ig.fft.ifft(ig.exp(0.1 * whole(x)) * (1.0 - 2.0j)) + x
    )(x),
}


def run(name: str, device: str) -> np.ndarray[Any, Any]:
    ig.set_default_device(device)
    try:
        ig.random.manual_seed(7)
        values = np.random.default_rng(0).standard_normal((37, 70)).astype(np.float32)
        return CASES[name](ig.tensor(values)).numpy()
    finally:
        ig.set_default_device("cpu")


@pytest.mark.parametrize("name", CASES)
def test_orders_of_threads_change_no_bit(name: str, emulator: Any) -> None:
    with ig.use_backend("numpy"):
        right = run(name, "cpu")
    found: list[np.ndarray[Any, Any]] = []
    try:
        for order in ORDERS:
            emulator.set_order(order)
            found.append(run(name, "cuda"))
    finally:
        emulator.set_order(0)
    for other in found[1:]:
        assert other.tobytes() == found[0].tobytes()
    scale = np.abs(right).max(initial=1.0)
    np.testing.assert_allclose(found[0], right, rtol=2e-5, atol=2e-5 * scale)


#: What is launched for arrays of some dtype only, which the op table has.
ELSEWHERE = {"fill_integer", "count_up", "random_words", "random_normal_single", "matmul"}


def test_the_cases_launch_every_kernel(emulator: Any, record_property: Any) -> None:
    emulator.log()
    for name in CASES:
        run(name, "cuda")
    launched = set(emulator.log())
    known = {name for module in every_source().values() for name in module.signatures}
    needed = {name for name in known if not name.startswith("map_")} - ELSEWHERE
    record_property("kernels", len(needed))
    assert sorted(needed - launched) == []


def test_random_numbers_are_those_of_the_cpu() -> None:
    for name in ("normal", "dropout"):
        with ig.use_backend("numpy"):
            right = run(name, "cpu")
        assert run(name, "cuda").tobytes() == right.tobytes(), name


def test_no_kernel_leaves_its_arrays(emulator: Any) -> None:
    """Each array ends at a page that must not be touched, in a process of its own."""
    here = Path(__file__)
    code = (
        f"import sys; sys.path[:0] = [{str(here.parent)!r}, {str(here.parents[2] / 'tools')!r}]\n"
        "import conftest, cupy\n"
        "cupy.cuda.set_allocator(None)\n"
        "import test_execution as t\n"
        "for name in t.CASES: t.run(name, 'cuda')\n"
        "print('all', len(t.CASES))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "CUDA_EMULATOR_GUARD": "1"},
        capture_output=True,
        text=True,
        check=False,
        timeout=250,
    )
    assert done.stdout.strip() == f"all {len(CASES)}", done.stdout + done.stderr[-3000:]
