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
from isograd import nn, optim
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
    """Yield (name, isograd, CuPy, PyTorch, bytes, operations)."""
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
        *("layer norm", lambda: F.layer_norm(trows, (1024,)), None),
        peers(lambda t, p: t.nn.functional.layer_norm(p, (1024,)), (rows,)),
        *(8 * rows.size, 4 * rows.size),
    )
    yield (
        *("matmul", lambda: ta @ tb, lambda: a @ b, peers(lambda t, p, q: p @ q, (a, b))),
        *(12 * side * side, 2 * side**3),
    )
    yield from windows(scale)
    yield attention(scale)
    yield training(scale)


def windows(scale):
    """Yield a convolution, its two gradients and a pooling."""
    count = max(int(32 * scale), 1)
    images, weights = (
        cupy.full((count, 64, 56, 56), 0.5, "f4"),
        cupy.full((64, 64, 3, 3), 0.1, "f4"),
    )
    x, w = on_device(images), on_device(weights)
    operations = 2 * images.size * 64 * 9
    yield (
        *("conv2d 3x3, 64 channels", lambda: F.conv2d(x, w, padding=1), None),
        peers(lambda t, p, q: t.nn.functional.conv2d(p, q, padding=1), (images, weights)),
        *(8 * images.size, operations),
    )
    gradients = ig.grad(lambda x, w: F.conv2d(x, w, padding=1).sum(), argnums=(0, 1))
    yield "conv2d, gradients", lambda: gradients(x, w), None, None, 16 * images.size, 3 * operations
    yield (
        *("max_pool2d", lambda: F.max_pool2d(x, 2), None),
        peers(lambda t, p: t.nn.functional.max_pool2d(p, 2), (images,)),
        *(5 * images.size, images.size),
    )


def attention(scale):
    """Return attention of 64 heads of 64, over 1024 places."""
    shape = (max(int(64 * scale), 1), 1024, 64)
    q = cupy.full(shape, 0.5, "f4")
    tq = on_device(q)
    return (
        *("attention", lambda: F.scaled_dot_product_attention(tq, tq, tq), None),
        peers(lambda t, p: t.nn.functional.scaled_dot_product_attention(p, p, p), (q,)),
        *(16 * q.size, 4 * q.size * 1024),
    )


def training(scale):
    """Return a compiled training step of a small network: what is left there is overhead."""
    ig.set_default_device("cuda")
    width, batch = max(int(512 * scale), 8), max(int(128 * scale), 4)
    model = nn.Sequential(nn.Linear(784, width), nn.ReLU(), nn.Linear(width, 10))
    optimizer = optim.AdamW(model.parameters(), lr=1e-3)
    x, labels = ig.random.normal((batch, 784)), ig.arange(batch) % 10

    @ig.compile(state=(model, optimizer))
    def step():
        loss = F.cross_entropy(model(x), labels)
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        return loss

    parameters = width * 794
    return "compiled step, 784-512-10", step, None, None, 28 * parameters, 6 * batch * parameters


def roofs(scale):
    """Return the bandwidth of a copy and the speed of a product, in bytes and operations a ms."""
    n, side = max(int(1e8 * scale), 1024), max(int(4096 * scale**0.5), 64)
    x, y, a = cupy.ones(n, "f4"), cupy.empty(n, "f4"), cupy.ones((side, side), "f4")
    copy = milliseconds(lambda: y.data.copy_from_device_async(x.data, x.nbytes), 20)
    return 8 * n / copy, 2 * side**3 / milliseconds(lambda: a @ a, 20)


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
        "| operation | ms | GB/s | GFLOP/s | share of the roof | CuPy by hand | PyTorch |",
        "|---|---:|---:|---:|---:|---:|---:|",
    ]
    copy, product = roofs(chosen.scale)
    for name, own, cupys, torchs, size, operations in cases(chosen.scale):
        time = milliseconds(own, 20)
        ratios = [
            f"{milliseconds(other, 20) / time:.2f}x" if other else "" for other in (cupys, torchs)
        ]
        rates = f"{size / time / 1e6:.0f} | {operations / time / 1e6:.0f}"
        rates += f" | {max(size / copy, operations / product) / time:.0%}"
        lines.append(f"| {name} | {time:.3f} | {rates} | {' | '.join(ratios)} |")
    lines += [
        "",
        "A ratio above 1 says how many times longer the other takes. The roof is what takes longer",
        f"at best: bytes at a copy's {copy / 1e6:.0f} GB/s, or operations at the speed of cuBLAS's",
        f"product in float32, {product / 1e6:.0f} GFLOP/s.",
    ]
    chosen.report.parent.mkdir(parents=True, exist_ok=True)
    chosen.report.write_text("\n".join(lines) + "\n", encoding="utf-8")
    print(chosen.report.read_text(encoding="utf-8"))


if __name__ == "__main__":
    main()
