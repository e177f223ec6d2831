"""One operation in one dtype: its samples and what is right for them, for all backends."""

from __future__ import annotations

import functools
import zlib
from collections.abc import Sequence
from typing import Any

import numpy as np

from isograd.core import dtypes
from isograd.testing.execute import as_float64, call, is_float, on_device_of, perturbed, pull
from isograd.testing.numeric import random_cotangent
from isograd.testing.op_db.spec import OpSpec, Sample
from isograd.testing.referee import Referee
from isograd.testing.tolerances import Comparison, Tolerance, compare, tolerance

__all__ = ["REFERENCE_BACKEND", "Case", "case_of"]

Array = Any

REFERENCE_BACKEND = "numpy"


def _seed(*words: str) -> int:
    return zlib.crc32(" ".join(words).encode())


class Case:
    """An operation in one dtype.

    Parameters
    ----------
    spec
        The operation.
    dtype
        The dtype of its leading argument.
    """

    def __init__(self, spec: OpSpec, dtype: str) -> None:
        self.spec = spec
        self.dtype = dtypes.as_dtype(dtype)
        self.referee = Referee(spec, self.dtype)
        self.rule: Tolerance = self.referee.rule
        self.samples = list(spec.samples(self.rng("samples"), self.dtype))
        self.extreme = list(spec.extreme(self.rng("extreme"), self.dtype))
        self._cache: dict[tuple[str, int], Any] = {}

    def rng(self, purpose: str) -> np.random.Generator:
        """Return a generator that depends on the case and the purpose alone."""
        return np.random.default_rng(_seed(self.spec.name, self.dtype.name, purpose))

    @property
    def differentiable(self) -> list[Sample]:
        """The samples on which derivatives are compared with numeric ones, within the budget."""
        if not self.spec.grad_args or not dtypes.is_inexact(self.dtype):
            return []
        return [s for s in self.samples if s.grad][: self.spec.budget]

    @property
    def derivable(self) -> list[Sample]:
        """The samples on which backends' gradients are compared, large ones too."""
        large = [s for s in self.samples if s.label.startswith("large") and not s.grad]
        return [*self.differentiable, *large] if self.differentiable else []

    @property
    def compilable(self) -> list[Sample]:
        """The samples that are computed by one compiled program: a few, a large one among them."""
        large = [s for s in self.samples[3:] if s.label.startswith("large")]
        return [*self.samples[:3], *large[:1], *self.extreme[:2]]

    def wrt(self, sample: Sample) -> tuple[int, ...]:
        """Return which arguments of a sample have derivatives."""
        return tuple(i for i in self.spec.grad_args if i < len(sample.args))

    # -- what is right -----------------------------------------------------------------------------

    def expected(self, sample: Sample) -> tuple[Array, ...]:
        """Return the reference's outputs."""
        return self._once("expected", sample, lambda: self.reference(sample.args, sample))

    def reference(self, args: Sequence[Array], sample: Sample) -> tuple[Array, ...]:
        """Return the reference's outputs for other values of a sample's arguments."""
        return self.referee.right(args, sample.kwargs)

    def expected_dtype(self, sample: Sample, reference: Array) -> np.dtype[Any]:
        """Return the dtype that an output must have."""
        named = sample.kwargs.get("dtype")
        if named is not None:
            return dtypes.as_dtype(named)
        if not is_float(reference) or not dtypes.is_inexact(self.dtype):
            return reference.dtype
        if dtypes.is_complex(reference.dtype):
            return dtypes.result_type(self.dtype, dtypes.complex64)
        return dtypes.component(self.dtype)

    def judge(
        self,
        values: Sequence[Array],
        args: Sequence[Array],
        sample: Sample,
        expected: Sequence[Array],
        baseline: float = 0.0,
    ) -> Comparison:
        """Compare outputs with the reference's and return the worst comparison."""
        return worst(self.referee.compare(values, args, sample.kwargs, expected, baseline))

    def baseline(self, sample: Sample) -> float:
        """Return the NumPy backend's own error in units of ``eps * scale``."""

        def measure() -> float:
            with on_device_of(REFERENCE_BACKEND):
                values = call(self.spec.fn, sample.args, sample.kwargs)
            units = self.judge(values, sample.args, sample, self.expected(sample)).units
            return units if np.isfinite(units) else 0.0

        return self._once("baseline", sample, measure)

    # -- gradients ---------------------------------------------------------------------------------

    def cotangents(self, sample: Sample) -> list[Array]:
        """Return a cotangent for each floating output, with values that every dtype can hold."""
        rng = self.rng(f"cotangent {self._index(sample)}")
        outs = self.expected(sample)
        found = [random_cotangent(rng, out.shape, out.dtype) for out in outs if is_float(out)]
        return [_in_16_bits(ct) for ct in found]

    def right_gradients(self, sample: Sample) -> tuple[tuple[Array, ...], list[Array]]:
        """Return the reference backend's float64 gradients, and the scale of their rounding."""

        def compute() -> tuple[tuple[Array, ...], list[Array]]:
            cts = self.cotangents(sample)
            wrt = self.wrt(sample)
            count = len(sample.args)

            def run(args: Sequence[Array]) -> tuple[Array, ...]:
                return pull(self.spec.fn, args[:count], sample.kwargs, wrt, args[count:])

            given = [*as_float64(sample.args), *cts]
            with on_device_of(REFERENCE_BACKEND):
                right = run(given)
                return right, perturbed(run, given, right, self.rng("perturbation"))

        return self._once("gradients", sample, compute)

    def gradient_baseline(self, sample: Sample) -> float:
        """Return the error of NumPy's own gradients in this dtype in units of ``eps * scale``."""

        def measure() -> float:
            with on_device_of(REFERENCE_BACKEND):
                found = pull(
                    self.spec.fn,
                    sample.args,
                    sample.kwargs,
                    self.wrt(sample),
                    self.cotangents(sample),
                )
            units = self.judge_gradients(found, sample).units
            return units if np.isfinite(units) else 0.0

        return self._once("gradient baseline", sample, measure)

    def judge_gradients(
        self, values: Sequence[Array], sample: Sample, baseline: float = 0.0
    ) -> Comparison:
        """Compare gradients with the right ones and return the worst comparison."""
        right, scales = self.right_gradients(sample)
        terms = max([1, *(n for arg in sample.args for n in np.shape(arg))])
        rule = tolerance("gradient", self.spec.name)
        return worst(
            [
                compare(value, wanted, tolerance=rule, scale=scale, terms=terms, baseline=baseline)
                for value, wanted, scale in zip(values, right, scales, strict=True)
            ]
        )

    def _index(self, sample: Sample) -> int:
        return next((i for i, other in enumerate(self.samples) if other is sample), -1)

    def _once(self, what: str, sample: Sample, compute: Any) -> Any:
        key = (what, id(sample))
        if key not in self._cache:
            self._cache[key] = compute()
        return self._cache[key]


def _in_16_bits(x: Array) -> Array:
    """Round to numbers that float16 can hold."""
    if dtypes.is_complex(x.dtype):
        return _in_16_bits(x.real) + 1j * _in_16_bits(x.imag)
    return x.astype(np.float16).astype(np.float64)


def worst(comparisons: Sequence[Comparison]) -> Comparison:
    """Return the comparison with the largest error; one that passes when there are none."""
    found = max(comparisons, key=lambda c: c.largest, default=Comparison(True, 0.0))
    units = max((c.units for c in comparisons), default=0.0)
    return Comparison(
        found.ok,
        found.largest,
        found.index,
        found.value,
        found.reference,
        found.bound,
        units,
        found.message,
    )


@functools.lru_cache(maxsize=16)
def case_of(spec: OpSpec, dtype: str) -> Case:
    """Return the case of an operation in a dtype; recent ones are kept with what they computed."""
    return Case(spec, dtype)
