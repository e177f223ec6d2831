"""Measure the CUDA backend on the GPU that is here, beside CuPy by hand and PyTorch.

    python tools/gpu_report.py REPORT.md [--scale 0.001]

Times are medians of events on the stream, after a warm-up. Bandwidth counts what an operation must
read and write, once each.
"""

import argparse
import platform
import statistics
from pathlib import Path

import cupy

import isograd as ig
from isograd.nn import functional as F


def milliseconds(call, repeats):
    """Return the median time of a call on the GPU."""
    for _ in range(3):
        call()
    times = []
    for _ in range(repeats):
        start, end = cupy.cuda.Event(), cupy.cuda.Event()
        start.record()
        call()
        end.record()
        end.synchronize()
        times.append(cupy.cuda.get_elapsed_time(start, end))
    return statistics.median(times)


def peers(function, arrays):
    """Return the same call in PyTorch, if that is here and sees the GPU."""
    try:
        import torch
    except ImportError:
        return None
    if not torch.cuda.is_available():
        return None
    tensors = [torch.from_dlpack(array) for array in arrays]
    stream = torch.cuda.ExternalStream(cupy.cuda.get_current_stream().ptr)

    def call():
        with torch.cuda.stream(stream):
            return function(torch, *tensors)

    return call


def cases(scale):
    """Yield (name, isograd, CuPy, PyTorch, arrays, bytes, operations)."""
    n, side = max(int(1e8 * scale), 1024), max(int(4096 * scale**0.5), 64)
    x, y = cupy.full(n, 1.5, "f4"), cupy.full(n, 0.5, "f4")
    rows = cupy.full((max(n // 1024, 1), 1024), 0.25, "f4")
    a, b = cupy.full((side, side), 0.5, "f4"), cupy.full((side, side), 0.25, "f4")
    tx, ty, trows, ta, tb = map(on_device, (x, y, rows, a, b))
    yield "add", lambda: tx + ty, lambda: x + y, peers(lambda t, p, q: p + q, (x, y)), 12 * n, n
    yield (
        *("gelu", lambda: F.gelu(tx), None),
        *(peers(lambda t, p: t.nn.functional.gelu(p), (x,)), 8 * n, n),
    )
    yield "sum", lambda: ig.sum(tx), x.sum, peers(lambda t, p: p.sum(), (x,)), 4 * n, n
    yield (
        *("softmax", lambda: F.softmax(trows, dim=1), None),
        *(peers(lambda t, p: p.softmax(1), (rows,)), 8 * rows.size, rows.size),
    )
    yield (
        *("matmul", lambda: ta @ tb, lambda: a @ b, peers(lambda t, p, q: p @ q, (a, b))),
        *(12 * side * side, 2 * side**3),
    )


def on_device(array):
    """Return a tensor over the memory of a CuPy array."""
    made = ig.empty((0,), device="cuda")
    return type(made)(array, ig.ir.Aval(array.shape, array.dtype), made.device)


def main():
    """Write the report."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("report", type=Path)
    parser.add_argument("--scale", type=float, default=1.0, help="fraction of the usual sizes")
    chosen = parser.parse_args()
    facts = ig.get_backend("cuda").describe()
    lines = ["# The CUDA backend on this machine", "", f"- host: {platform.platform()}"]
    lines += [f"- {name}: {value}" for name, value in facts.items()]
    lines += [
        "",
        "| operation | ms | GB/s | GFLOP/s | CuPy by hand | PyTorch |",
        "|---|---:|---:|---:|---:|---:|",
    ]
    for name, own, cupys, torchs, size, operations in cases(chosen.scale):
        time = milliseconds(own, 20)
        ratios = [
            f"{milliseconds(other, 20) / time:.2f}x" if other else "" for other in (cupys, torchs)
        ]
        rates = f"{size / time / 1e6:.0f} | {operations / time / 1e6:.0f}"
        lines.append(f"| {name} | {time:.3f} | {rates} | {' | '.join(ratios)} |")
    lines += ["", "A ratio above 1 says how many times longer the other takes."]
    chosen.report.parent.mkdir(parents=True, exist_ok=True)
    chosen.report.write_text("\n".join(lines) + "\n", encoding="utf-8")
    print(chosen.report.read_text(encoding="utf-8"))


if __name__ == "__main__":
    main()
