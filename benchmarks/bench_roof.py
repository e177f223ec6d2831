"""What a matrix product reaches here: the roof of steps that are mostly matrix products."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable
from typing import Any

import common
import numpy as np

SIZES = ((1024, 1024, 1024), (2048, 512, 512), (2048, 512, 128), (512, 3136, 128))
LIBRARIES = ("numpy", "numba")

#: Seconds. The threads of a BLAS look for more work after a product, on cores that others need.
_SETTLE = 0.3


def measure_roof(*, seconds: float) -> dict[str, dict[str, float]]:
    """Return median floating-point operations a second by library and size, float32.

    Each library is in a process of its own. ``numpy`` is its BLAS, ``numba`` isograd's kernel.
    """
    found: dict[str, dict[str, float]] = {}
    for library in LIBRARIES:
        done = subprocess.run(
            [sys.executable, __file__, library, str(seconds)],
            capture_output=True,
            text=True,
            check=False,
            env=common.clean_environment(),
        )
        if done.returncode == 0:
            found[library] = json.loads(done.stdout)
    return found


def highest(*measured: dict[str, dict[str, float]]) -> float:
    """Return the best of all."""
    return max(rate for found in measured for rates in found.values() for rate in rates.values())


def roof_lines(measured: list[dict[str, dict[str, float]]]) -> list[str]:
    """Describe what was measured."""
    lines = ["## GEMM", "", "GFLOP/s in float32, the best of the medians during the run.", ""]
    libraries = list(measured[0])
    rows = [
        [
            size,
            *(
                f"{max(found[library][size] for found in measured) / 1e9:.0f}"
                for library in libraries
            ),
        ]
        for size in measured[0][libraries[0]]
    ]
    return lines + common.markdown_table(["rows x inner x columns", *libraries], rows)


def _product(library: str, left: Any, right: Any) -> Callable[[], object]:
    if library == "numpy":
        out = np.empty((left.shape[0], right.shape[1]), np.float32)
        return lambda: np.matmul(left, right, out=out)
    import isograd as ig

    ig.set_backend(library)
    x, y = ig.tensor(left), ig.tensor(right)
    return lambda: ig.matmul(x, y)


def _main(library: str, seconds: float) -> None:
    rng = np.random.default_rng(0)
    rates: dict[str, float] = {}
    for m, k, n in SIZES:
        left = rng.normal(size=(m, k)).astype(np.float32)
        right = rng.normal(size=(k, n)).astype(np.float32)
        product = _product(library, left, right)
        np.testing.assert_allclose(np.asarray(product()), left @ right, rtol=1e-3, atol=1e-2)
        time.sleep(_SETTLE)
        samples: list[float] = []
        end = time.perf_counter() + seconds
        while time.perf_counter() < end or len(samples) < 3:
            start = time.perf_counter()
            product()
            samples.append(time.perf_counter() - start)
        rates[f"{m} x {k} x {n}"] = 2.0 * m * k * n / common.summary(samples).median
    print(json.dumps(rates))


if __name__ == "__main__":
    _main(sys.argv[1], float(sys.argv[2]))
