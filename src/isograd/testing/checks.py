"""The checks generated from the table: each yields findings on one case and one backend."""

from __future__ import annotations

import dataclasses
import itertools
import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

import isograd as ig
from isograd.backend import Backend
from isograd.core import dtypes
from isograd.core.errors import ConcretizationError, DTypeError
from isograd.runtime.registry import default_device
from isograd.testing.case import REFERENCE_BACKEND, Case
from isograd.testing.execute import (
    as_float64,
    call,
    inner,
    is_float,
    on_device_of,
    outputs,
    pull,
    pull_twice,
    push,
    values_and_gradients,
)
from isograd.testing.layouts import LAYOUTS, place, values_in
from isograd.testing.numeric import Slope, random_direction, slope
from isograd.testing.op_db.generate import draw
from isograd.testing.op_db.spec import OpSpec, Sample
from isograd.testing.tolerances import TABLE, Comparison, compare

__all__ = ["CHECKS", "Finding", "refused_dtypes"]

Array = Any
Check = Callable[[Case, str], Iterable["Finding"]]

_EPS = float(np.finfo(np.float64).eps)


@dataclasses.dataclass(frozen=True)
class Finding:
    """One comparison.

    Attributes
    ----------
    error : float
        The error in units of its bound: at most 1 when right.
    sample : str
        What was computed.
    message : str
        What is wrong, or empty.
    """

    error: float
    sample: str = ""
    message: str = ""


def _finding(comparison: Comparison, sample: object, what: str = "") -> Finding:
    if comparison.ok:
        return Finding(comparison.largest, str(sample))
    c = comparison
    message = (
        f"{what + ': ' if what else ''}{c.message}; the worst, at {c.index}: {c.value!r} "
        f"where {c.reference!r} is right, bound {c.bound:.3g}"
    )
    return Finding(c.largest, str(sample), message)


def _claim(holds: bool, sample: object, message: str) -> Finding:
    return Finding(0.0, str(sample)) if holds else Finding(math.inf, str(sample), message)


# -- values ----------------------------------------------------------------------------------------


def forward(case: Case, backend: str) -> Iterator[Finding]:
    """Compare each sample's result with the float64 reference."""
    yield from _values(case, case.samples, backend)


def extreme(case: Case, backend: str) -> Iterator[Finding]:
    """Compare results for NaN, infinities, huge, tiny and signed zero with the reference."""
    yield from _values(case, case.extreme, backend)


def _values(case: Case, samples: Sequence[Sample], backend: str) -> Iterator[Finding]:
    for sample in samples:
        baseline = 0.0 if backend == REFERENCE_BACKEND or case.rule.exact else case.baseline(sample)
        values = call(case.spec.fn, sample.args, sample.kwargs)
        yield _finding(
            case.judge(values, sample.args, sample, case.expected(sample), baseline), sample
        )


def inference(case: Case, backend: str) -> Iterator[Finding]:
    """Compare the inferred shape and dtype with the kernel's, and with the reference's."""
    prim = ig.ops.PRIMITIVES.get(case.spec.name) if case.spec.primitive else None
    for sample in case.samples:
        tensors = [ig.tensor(x) for x in sample.args]
        outs = outputs(case.spec.fn(*tensors, **sample.kwargs))
        for out, right in zip(outs, case.expected(sample), strict=True):
            wanted = (right.shape, case.expected_dtype(sample, right))
            yield _claim(
                (out.shape, out.dtype) == wanted,
                sample,
                f"inferred {out.dtype}{out.shape}, expected {wanted}",
            )
            host = out.numpy()
            yield _claim(
                (host.shape, host.dtype) == (out.shape, out.dtype),
                sample,
                f"the kernel returned {host.dtype}{host.shape}, inferred {out.dtype}{out.shape}",
            )
        kernel = None if prim is None or not tensors else _computing().kernel(prim.name)
        if prim is None or kernel is None:
            continue
        with np.errstate(all="ignore"):
            raw = outputs(kernel(*(t.array for t in tensors), **sample.kwargs))
        avals = (
            outputs(prim.infer(*(t.aval for t in tensors), **sample.kwargs))
            if prim.multiple
            else (prim.infer(*(t.aval for t in tensors), **sample.kwargs),)
        )
        for array, aval in zip(raw, avals, strict=True):
            host = _computing().memory.to_host(_computing().memory.as_array(array))
            got = host.shape, dtypes.as_dtype(host.dtype)
            yield _claim(
                got == (aval.shape, aval.dtype),
                sample,
                f"the kernel returned {got}, inferred {aval}",
            )


def _computing() -> Backend:
    """Return the backend that computes for new tensors."""
    return ig.get_backend(default_device())


def layouts(case: Case, backend: str) -> Iterator[Finding]:
    """Repeat values and gradients with transposed, sliced, reversed and zero-stride memory."""
    # Kernels of other dtypes are the same code; a few samples show whether strides are heeded.
    full = case.dtype.name in ("float64", "float32")
    for sample in case.samples if full else case.samples[:6]:
        if not sample.layouts:
            continue
        for layout in LAYOUTS:
            moved = [values_in(layout, x) for x in map(np.asarray, sample.args)]
            if layout == "C order" or all(m is None or m.ndim == 0 for m in moved):
                continue
            args = [x if m is None else m for x, m in zip(sample.args, moved, strict=True)]
            what = f"{sample} {layout}"
            values = call(case.spec.fn, args, sample.kwargs, layout=layout)
            baseline = (
                0.0 if backend == REFERENCE_BACKEND or case.rule.exact else case.baseline(sample)
            )
            right = (
                case.reference(args, sample) if layout == "zero stride" else case.expected(sample)
            )
            yield _finding(case.judge(values, args, sample, right, baseline), what)
            if sample in case.differentiable[:6]:
                yield from _gradients_in(case, sample, args, layout, what)


def _gradients_in(
    case: Case, sample: Sample, args: Sequence[Array], layout: str, what: str
) -> Iterator[Finding]:
    """Compare gradients in a layout with those in C order, for the same values."""
    cts = [
        values_in(layout, ct) if values_in(layout, ct) is not None else ct
        for ct in case.cotangents(sample)
    ]
    wrt = case.wrt(sample)
    plain = pull(case.spec.fn, args, sample.kwargs, wrt, cts)
    found = pull(case.spec.fn, args, sample.kwargs, wrt, cts, layout=layout)
    for value, right in zip(found, plain, strict=True):
        scale = np.max(np.abs(right), initial=0.0) + 1.0
        terms = max([1, *(n for arg in args for n in np.shape(arg))])
        yield _finding(
            compare(value, right, tolerance=TABLE["gradient"], scale=scale, terms=terms),
            what,
            "gradient",
        )


def backends(case: Case, backend: str) -> Iterator[Finding]:
    """Compare gradients with the reference backend's in float64; bits, where they must be equal."""
    for sample in case.derivable:
        baseline = 0.0 if backend == REFERENCE_BACKEND else case.gradient_baseline(sample)
        found = pull(
            case.spec.fn, sample.args, sample.kwargs, case.wrt(sample), case.cotangents(sample)
        )
        yield _finding(case.judge_gradients(found, sample, baseline), sample, "gradient")
    if case.rule.exact or case.spec.scale.same_bits:
        for sample in case.samples:
            with on_device_of(REFERENCE_BACKEND):
                right = call(case.spec.fn, sample.args, sample.kwargs)
            for value, wanted in zip(
                call(case.spec.fn, sample.args, sample.kwargs), right, strict=True
            ):
                yield _finding(compare(value, wanted, tolerance=TABLE["equal"]), sample, "bits")


def compiled(case: Case, backend: str) -> Iterator[Finding]:
    """Compare values and gradients of several samples, which are one compiled program."""
    found = _program(case, case.compilable, itertools.repeat("C order"))
    if case.spec.compiles:
        yield from found
        return
    try:
        next(found)
    except ConcretizationError as error:
        yield _claim(case.spec.name.split(" ")[0] in str(error), "", f"who refuses? {error}")
    else:
        yield _claim(False, "", "it was compiled, although its shape depends on values")


def compiled_layouts(case: Case, backend: str) -> Iterator[Finding]:
    """Repeat it with transposed, sliced and reversed memory."""
    samples = [sample for sample in case.compilable if sample.layouts]
    if any(np.ndim(x) for sample in samples for x in sample.args):
        yield from _program(case, samples, itertools.cycle(("transposed", "sliced", "reversed")))


def _program(case: Case, samples: Sequence[Sample], layouts: Iterable[str]) -> Iterator[Finding]:
    derivable = [sample in case.differentiable for sample in samples]
    given = [
        tuple(place(layout, x) for x in sample.args)
        for sample, layout in zip(samples, layouts, strict=False)
    ]
    cts = [
        tuple(ig.tensor(ct, dtype=case.expected_dtype(s, ct)) for ct in case.cotangents(s))
        if pull
        else ()
        for s, pull in zip(samples, derivable, strict=True)
    ]

    def program(given: Sequence[Any], cts: Sequence[Any]) -> list[Any]:
        return [
            values_and_gradients(case.spec.fn, tensors, s.kwargs, case.wrt(s) if pull else (), ct)
            for s, pull, tensors, ct in zip(samples, derivable, given, cts, strict=True)
        ]

    found = ig.compile(program)(given, cts)
    for sample, (values, gradients) in zip(samples, found, strict=True):
        host = [t.numpy() for t in values]
        baseline = 0.0 if case.rule.exact else case.baseline(sample)
        right = case.expected(sample)
        yield _finding(case.judge(host, sample.args, sample, right, baseline), sample)
        if gradients:
            host = [t.numpy() for t in gradients]
            baseline = case.gradient_baseline(sample)
            yield _finding(case.judge_gradients(host, sample, baseline), sample, "gradient")


# -- derivatives -----------------------------------------------------------------------------------


def gradient(case: Case, backend: str) -> Iterator[Finding]:
    """Compare the vjp with numeric derivatives of the independent reference."""
    for sample in case.differentiable:
        args, cts, wrt = as_float64(sample.args), case.cotangents(sample), case.wrt(sample)
        gradients = pull(case.spec.fn, args, sample.kwargs, wrt, cts)
        for position, found in zip(wrt, gradients, strict=True):
            x = args[position]
            same = (found.shape, found.dtype) == (x.shape, x.dtype)
            what = f"argument {position}"
            yield _claim(same, sample, f"the gradient of {what} is {found.dtype}{found.shape}")
            if x.size:
                direction = random_direction(case.rng(f"gradient {sample} {position}"), x)
                numeric = slope(_along(case, sample, cts, {position: direction}))
                yield _against(numeric, inner([found], [direction])[0], sample, what)


def _along(
    case: Case, sample: Sample, cts: Sequence[Array], directions: Mapping[int, Array]
) -> Callable[[float], tuple[float, float]]:
    """Return the reference's contracted output as a function of one variable."""
    args = as_float64(sample.args)

    def line(t: float) -> tuple[float, float]:
        moved = [x + t * directions[i] if i in directions else x for i, x in enumerate(args)]
        return inner(cts, [out for out in case.reference(moved, sample) if is_float(out)])

    return line


def second(case: Case, backend: str) -> Iterator[Finding]:
    """Compare second derivatives with numeric derivatives of the first."""
    samples = [s for s in case.differentiable if all(np.size(arg) for arg in s.args)]
    for sample in samples[: max(1, case.spec.budget // 3)]:
        yield _second_derivative(case, sample)


def _second_derivative(case: Case, sample: Sample) -> Finding:
    rng = case.rng(f"second {sample}")
    args, cts, wrt = as_float64(sample.args), case.cotangents(sample), case.wrt(sample)
    across = [random_direction(rng, args[i]) for i in wrt]
    along = {i: random_direction(rng, args[i]) for i in wrt}

    def line(t: float) -> tuple[float, float]:
        moved = [x + t * along[i] if i in along else x for i, x in enumerate(args)]
        return inner(across, pull(case.spec.fn, moved, sample.kwargs, wrt, cts))

    found = pull_twice(case.spec.fn, args, sample.kwargs, wrt, cts, across)
    analytic = inner(found, list(along.values()))[0]
    return _against(slope(line), analytic, sample, "second derivative")


def jvp(case: Case, backend: str) -> Iterator[Finding]:
    """Check ``<ct, jvp(t)> == <vjp(ct), t>``."""
    for sample in case.differentiable:
        rng = case.rng(f"jvp {sample}")
        args, cts, wrt = as_float64(sample.args), case.cotangents(sample), case.wrt(sample)
        tangents = [random_direction(rng, args[i]) for i in wrt]
        pushed = push(case.spec.fn, args, sample.kwargs, wrt, tangents)
        pulled = pull(case.spec.fn, args, sample.kwargs, wrt, cts)
        left, left_size = inner(cts, pushed)
        right, right_size = inner(tangents, pulled)
        bound = 256.0 * _EPS * (left_size + right_size) + 1e-300
        error = abs(left - right) / bound
        message = "" if error <= 1.0 else f"<ct, jvp(t)> = {left!r}, <vjp(ct), t> = {right!r}"
        yield Finding(
            error if not math.isnan(error) else math.inf,
            str(sample),
            message or ("" if error <= 1.0 else "NaN"),
        )


def _against(numeric: Slope, analytic: float, sample: object, what: str) -> Finding:
    """Compare an analytic slope with a numeric one."""
    if numeric.kink:
        return _claim(
            False,
            sample,
            f"{what}: the sample lies on a kink, {numeric.left!r} against {numeric.right!r}",
        )
    bound = numeric.error + 256.0 * _EPS * (abs(analytic) + abs(numeric.value)) + 1e-300
    error = abs(analytic - numeric.value) / bound
    loose = numeric.error > 1e-5 * max(1.0, abs(numeric.value))
    if error <= 1.0 and not loose:
        return Finding(error, str(sample))
    message = f"{what}: analytic {analytic!r}, numeric {numeric.value!r} +- {numeric.error:.3g}"
    return Finding(math.inf if loose or math.isnan(error) else error, str(sample), message)


# -- conduct ---------------------------------------------------------------------------------------


def refused_dtypes(spec: OpSpec, sample: Sample) -> list[str]:
    """Return dtypes of the kinds that a primitive's row does not list, and so must refuse."""
    listed = [dtypes.as_dtype(name) for name in spec.dtypes]
    kinds = {"i" if dtype.kind == "u" else dtype.kind for dtype in listed}
    if not spec.primitive or all(x.dtype != listed[0] for x in sample.args):
        return []
    return [
        name for name in ("bool", "int64", "float32") if dtypes.as_dtype(name).kind not in kinds
    ]


def refusals(case: Case, backend: str) -> Iterator[Finding]:
    """Check that a primitive refuses the kinds of dtypes that its row does not list."""
    sample = case.samples[0]
    for name in refused_dtypes(case.spec, sample):
        source, rng = draw(), case.rng(name)
        args = [
            source(rng, np.shape(x), dtypes.as_dtype(name)) if x.dtype == case.dtype else x
            for x in sample.args
        ]
        tensors = [ig.tensor(x) for x in args]
        try:
            out = case.spec.fn(*tensors, **sample.kwargs)
        except DTypeError as error:
            named = name in str(error)
            yield _claim(named, f"{name} argument", f"the message does not name {name}: {error}")
        else:
            message = f"returned {out.dtype} where DTypeError was due"
            yield _claim(False, f"{name} argument", message)


def errors(case: Case, backend: str) -> Iterator[Finding]:
    """Check that bad calls raise the right class with a message that says what and where."""
    for bad in case.spec.errors:
        sample = Sample(bad.args, bad.kwargs, label=bad.error.__name__)
        tensors = [ig.tensor(x) for x in bad.args]
        before = [t.numpy().copy() for t in tensors]
        try:
            case.spec.fn(*tensors, **bad.kwargs)
        except bad.error as error:
            lost = [part for part in bad.fragments if part not in str(error)]
            yield _claim(not lost, sample, f"the message lacks {lost}: {error}")
        else:
            yield _claim(False, sample, f"{bad.error.__name__} was due, and nothing was raised")
        yield _claim(_same(before, [t.numpy() for t in tensors]), sample, "an argument was changed")


def purity(case: Case, backend: str) -> Iterator[Finding]:
    """Check that inputs and results stay as they are, and that a second call gives the same."""
    for sample in case.samples:
        tensors = [ig.tensor(x) for x in sample.args]
        kept = outputs(case.spec.fn(*tensors, **sample.kwargs))
        first = [t.numpy().copy() for t in kept]
        others = [x * x.dtype.type(0.5) if is_float(x) else x for x in map(np.asarray, sample.args)]
        call(case.spec.fn, others, sample.kwargs)
        yield _claim(
            _same(first, [t.numpy() for t in kept]), sample, "another call changed its result"
        )
        yield _claim(
            _same([np.asarray(x) for x in sample.args], [t.numpy() for t in tensors]),
            sample,
            "an input was changed",
        )
        again = [t.numpy() for t in outputs(case.spec.fn(*tensors, **sample.kwargs))]
        yield _claim(_same(first, again), sample, "a second call gave other bits")


def threads(case: Case, backend: str) -> Iterator[Finding]:
    """Check that results, the large ones first of all, do not depend on the number of threads."""
    samples = [s for s in case.samples if s.label.startswith("large")] or case.samples[:3]
    if case.dtype.name not in ("float64", "float32"):
        samples = samples[:1]
    computing = _computing()
    before = computing.get_num_threads()
    try:
        for sample in samples:
            results: list[tuple[Array, ...]] = []
            for count in (1, 2, 3):
                computing.set_num_threads(count)
                results.append(call(case.spec.fn, sample.args, sample.kwargs))
            same = all(_same(results[0], other) for other in results[1:])
            yield _claim(same, sample, "the bits depend on the number of threads")
    finally:
        computing.set_num_threads(before)


def _same(left: Sequence[Array], right: Sequence[Array]) -> bool:
    return all(
        a.dtype == b.dtype and a.tobytes() == b.tobytes() for a, b in zip(left, right, strict=True)
    )


def fused(case: Case, backend: str) -> Iterator[Finding]:
    """Compare a fused primitive's decomposition, which is its definition, with the reference."""
    decompose = ig.ops.PRIMITIVES[case.spec.name].decompose
    assert decompose is not None
    for sample in case.samples:
        tensors = [place("C order", x) for x in sample.args]
        values = tuple(t.numpy() for t in outputs(decompose(*tensors, **sample.kwargs)))
        yield from _near_in_norm(values, case.expected(sample), sample)


def _near_in_norm(
    values: Sequence[Array], expected: Sequence[Array], sample: Sample
) -> Iterator[Finding]:
    """Compare on the scale of the largest element: a definition may lose digits of small ones."""
    for value, right in zip(values, expected, strict=True):
        if is_float(value):
            scale = np.max(np.abs(right), initial=1.0, where=np.isfinite(right))
            yield _finding(
                compare(value, right, tolerance=TABLE["program"], scale=scale),
                sample,
                "decomposition",
            )
        else:
            yield _finding(compare(value, right, tolerance=TABLE["exact"]), sample, "decomposition")


CHECKS: Mapping[str, Check] = {
    "forward": forward,
    "inference": inference,
    "extreme": extreme,
    "layouts": layouts,
    "gradient": gradient,
    "second": second,
    "jvp": jvp,
    "backends": backends,
    "compiled": compiled,
    "compiled_layouts": compiled_layouts,
    "fused": fused,
    "dtypes": refusals,
    "errors": errors,
    "purity": purity,
    "threads": threads,
}
"""Every generated check by name. `gradient`, `second` and `jvp` apply to float64 alone."""
