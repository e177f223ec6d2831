"""Measure the CUDA backend on the GPU that is here, beside CuPy by hand and PyTorch.

    python tools/gpu_report.py REPORT.md [--scale 0.001] [--workloads mlp,gpt]

Times of operations are medians of events on the stream, after a warm-up. Bandwidth counts what an
operation must read and write, once each. Training steps are those of ``benchmarks/``.
"""

import argparse
import functools
import math
import platform
import statistics
import sys
from pathlib import Path
from typing import Any, NamedTuple

import cupy
from cupyx.scipy.special import erf

import isograd as ig
from isograd.nn import functional as F

BENCHMARKS = Path(__file__).resolve().parents[1] / "benchmarks"
NO_TORCH = "PyTorch without CUDA here: {}, so its ratios are missing."


class Case(NamedTuple):
    """An operation in three libraries, with the bytes that it moves and its arithmetic.

    ``cupy`` is what one writes by hand, or None where that is a project; all take ``arrays``.
    """

    name: str
    arrays: tuple[Any, ...]
    own: Any
    cupy: Any
    torch: Any
    size: float
    operations: float


@functools.cache
def torch_with_cuda():
    """Return PyTorch if it computes on this GPU, and otherwise why not."""
    try:
        import torch
    except ImportError:
        return None, "it is not installed"
    if not torch.cuda.is_available():
        return None, f"version {torch.__version__} sees no GPU"
    torch.backends.cudnn.allow_tf32 = False  # as isograd, and PyTorch's own products
    return torch, ""


def milliseconds(call):
    """Return the median time of a call on the GPU."""
    for _ in range(3):
        call()
    times = []
    for _ in range(20):
        start, end = cupy.cuda.Event(), cupy.cuda.Event()
        start.record()
        call()
        end.record()
        end.synchronize()
        times.append(cupy.cuda.get_elapsed_time(start, end))
    return statistics.median(times)


def in_torch(case):
    """Return the call of a case in PyTorch on CuPy's stream, or None without PyTorch."""
    torch, _ = torch_with_cuda()
    if torch is None:
        return None
    tensors = [torch.from_dlpack(array) for array in case.arrays]
    stream = torch.cuda.ExternalStream(cupy.cuda.get_current_stream().ptr)

    def call():
        with torch.cuda.stream(stream):
            return case.torch(torch, *tensors)

    return call


def softmax_by_hand(x):
    """Return the softmax of rows."""
    e = cupy.exp(x - x.max(axis=1, keepdims=True))
    return e / e.sum(axis=1, keepdims=True)


def layer_norm_by_hand(x):
    """Return rows of mean 0 and variance 1."""
    centred = x - x.mean(axis=1, keepdims=True)
    return centred / cupy.sqrt((centred * centred).mean(axis=1, keepdims=True) + 1e-5)


def attention_by_hand(q):
    """Return attention with all scores in memory."""
    scores = cupy.matmul(q, q.transpose(0, 2, 1)) / math.sqrt(q.shape[-1])
    return cupy.matmul(
        softmax_by_hand(scores.reshape(-1, scores.shape[-1])).reshape(scores.shape), q
    )


def conv_gradients(torch, x, w):
    """Return both gradients of a convolution in PyTorch."""
    x, w = x.detach().requires_grad_(), w.detach().requires_grad_()
    return torch.autograd.grad(torch.nn.functional.conv2d(x, w, padding=1).sum(), (x, w))


def cases(scale):
    """Yield the operations, of a fraction of their usual sizes."""
    n, side = max(int(1e8 * scale), 1024), max(int(4096 * scale**0.5), 64)
    x, y = cupy.full(n, 1.5, "f4"), cupy.full(n, 0.5, "f4")
    rows = cupy.full((max(n // 1024, 1), 1024), 0.25, "f4")
    a, b = cupy.full((side, side), 0.5, "f4"), cupy.full((side, side), 0.25, "f4")
    yield Case(
        *("add", (x, y), lambda x, y: x + y, lambda x, y: x + y, lambda t, x, y: x + y),
        *(12 * n, n),
    )
    yield Case(
        *("gelu", (x,), F.gelu, lambda x: 0.5 * x * (1.0 + erf(x * math.sqrt(0.5)))),
        *(lambda t, x: t.nn.functional.gelu(x), 8 * n, n),
    )
    yield Case("sum", (x,), ig.sum, cupy.sum, lambda t, x: x.sum(), 4 * n, n)
    yield Case(
        *("softmax", (rows,), lambda x: F.softmax(x, dim=1), softmax_by_hand),
        *(lambda t, x: x.softmax(1), 8 * rows.size, rows.size),
    )
    yield Case(
        *("layer norm", (rows,), lambda x: F.layer_norm(x, (1024,)), layer_norm_by_hand),
        lambda t, x: t.nn.functional.layer_norm(x, (1024,)),
        *(8 * rows.size, 4 * rows.size),
    )
    yield Case(
        *("matmul", (a, b), lambda a, b: a @ b, lambda a, b: a @ b, lambda t, a, b: a @ b),
        *(12 * side * side, 2 * side**3),
    )
    yield from windows(scale)
    q = cupy.full(
        (max(int(64 * scale), 1), max(int(1024 * min(1.0, 100 * scale)), 16), 64), 0.5, "f4"
    )
    yield Case(
        "attention",
        (q,),
        lambda q: F.scaled_dot_product_attention(q, q, q),
        attention_by_hand,
        lambda t, q: t.nn.functional.scaled_dot_product_attention(q, q, q),
        *(16 * q.size, 4 * q.size * q.shape[1]),
    )


def windows(scale):
    """Yield a convolution, its two gradients and a pooling."""
    count, edge = max(int(32 * scale), 1), 2 * max(int(28 * min(1.0, 100 * scale)), 2)
    x = cupy.full((count, 64, edge, edge), 0.5, "f4")
    w = cupy.full((64, 64, 3, 3), 0.1, "f4")
    operations = 2 * x.size * 64 * 9
    yield Case(
        *("conv2d 3x3, 64 channels", (x, w), lambda x, w: F.conv2d(x, w, padding=1), None),
        lambda t, x, w: t.nn.functional.conv2d(x, w, padding=1),
        *(8 * x.size, operations),
    )
    gradients = ig.grad(lambda x, w: F.conv2d(x, w, padding=1).sum(), argnums=(0, 1))
    yield Case(
        *("conv2d, gradients", (x, w), gradients, None, conv_gradients),
        *(16 * x.size, 3 * operations),
    )
    yield Case(
        *("max_pool2d", (x,), lambda x: F.max_pool2d(x, 2)),
        lambda x: x.reshape(*x.shape[:2], edge // 2, 2, edge // 2, 2).max(axis=(3, 5)),
        lambda t, x: t.nn.functional.max_pool2d(x, 2),
        *(5 * x.size, x.size),
    )


def roofs(scale):
    """Return the bandwidth of a copy and the speed of a product, in bytes and operations a ms."""
    n, side = max(int(1e8 * scale), 1024), max(int(4096 * scale**0.5), 64)
    x, y, a = cupy.ones(n, "f4"), cupy.empty(n, "f4"), cupy.ones((side, side), "f4")
    copy = milliseconds(lambda: y.data.copy_from_device_async(x.data, x.nbytes))
    return 8 * n / copy, 2 * side**3 / milliseconds(lambda: a @ a)


def operation_lines(scale):
    """Measure operations, and describe them."""
    copy, product = roofs(scale)
    lines = [
        "## Operations",
        "",
        "| operation | ms | GB/s | GFLOP/s | share of the roof | CuPy by hand | PyTorch |",
        "|---|---:|---:|---:|---:|---:|---:|",
    ]
    for case in cases(scale):
        tensors = [ig.from_dlpack(array, copy=False) for array in case.arrays]
        time = milliseconds(lambda: case.own(*tensors))  # noqa: B023
        by_hand = case.cupy and functools.partial(case.cupy, *case.arrays)
        ratios = [
            f"{milliseconds(other) / time:.2f}x" if other else "-"
            for other in (by_hand, in_torch(case))
        ]
        rates = f"{case.size / time / 1e6:.0f} | {case.operations / time / 1e6:.0f}"
        share = max(case.size / copy, case.operations / product) / time
        lines.append(f"| {case.name} | {time:.3f} | {rates} | {share:.0%} | {' | '.join(ratios)} |")
    lines += [
        "",
        "A ratio above 1 says how many times longer the other takes; nobody uses TF32. The roof is",
        f"what takes longer at best: bytes at a copy's {copy / 1e6:.0f} GB/s, or operations at the",
        f"speed of cuBLAS's product in float32, {product / 1e6:.0f} GFLOP/s.",
    ]
    torch, reason = torch_with_cuda()
    return lines if torch else [*lines, "", NO_TORCH.format(reason)]


def step_lines(workloads, folder):
    """Time training steps beside PyTorch's on this GPU, in processes of their own."""
    sys.path.append(str(BENCHMARKS))
    import bench_step
    import contenders
    import report

    lines = ["", "## Training steps", ""]
    lines.append("The factor is the time relative to isograd's fastest. Memory is the host's.")
    for name in workloads:
        try:
            race = bench_step.race(
                *(name, report.WORKLOADS[name].optimizer, bench_step.ON_GPU, folder),
                rounds=6,
                seconds=0.3,
                say=print,
            )
        except contenders.MissingError as error:
            return [*lines, "", f"They are not measured: {error}."]
        lines += report.race_lines(race, None)
    return lines


def main(arguments=None):
    """Write the report."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("report", type=Path)
    parser.add_argument("--scale", type=float, default=1.0, help="fraction of the usual sizes")
    parser.add_argument("--workloads", default="digits,mlp,cnn,gpt,lstm", help="of the benchmarks")
    chosen = parser.parse_args(arguments)
    facts = ig.get_backend("cuda").describe()
    torch, reason = torch_with_cuda()
    facts["PyTorch"] = torch.__version__ if torch else reason
    lines = ["# The CUDA backend on this machine", "", f"- host: {platform.platform()}"]
    lines += [f"- {name}: {value}" for name, value in facts.items()]
    folder = chosen.report.parent
    lines += ["", *operation_lines(chosen.scale)]
    lines += step_lines(chosen.workloads.split(","), folder / "reference")
    folder.mkdir(parents=True, exist_ok=True)
    chosen.report.write_text("\n".join(lines) + "\n", encoding="utf-8")
    print(chosen.report.read_text(encoding="utf-8"))


if __name__ == "__main__":
    main()
