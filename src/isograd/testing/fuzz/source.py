"""Programs of the fuzzer as Python source."""

from __future__ import annotations

from typing import Any

from isograd.testing.fuzz.program import STYLES, Drawn, Input, Program, Step

__all__ = ["script"]


def script(program: Program, backend: str) -> str:
    """Return a script that runs a program eagerly and compiled and compares the two."""
    constants = [f"{i.name} = {_input(i)}" for i in program.inputs if i.kind == "constant"]
    at, returned = program.followed, "".join(f"{name}, " for name in program.outputs)
    lines = [
        "import numpy as np",
        "from numpy import inf, nan",
        "",
        "import isograd as ig",
        "",
        "F = ig.nn.functional",
        f"ig.set_backend({backend!r})",
        *constants,
        "arguments = [",
        *[f"    {_input(i)},  # {i.name}" for i in program.parameters],
        "]",
        "",
        "",
        f"def fn({', '.join(i.name for i in program.parameters)}):",
        *[f"    {_call(step)}" for step in program.steps],
        f"    return ({returned})",
        *_derivative_source(program.derivative, at),
        "",
        "",
        *_comparison_source(program.derivative, at, program.seed),
    ]
    return "\n".join(lines) + "\n"


def _input(one: Input) -> str:
    """Return an expression for a tensor or number."""
    if one.kind == "number":
        return repr(float(one.array()))
    if isinstance(one.data, Drawn):
        text = STYLES[one.data.style].format(**vars(one.data), shape=one.shape)
        text = f"np.random.default_rng({one.data.seed}).{text}"
        return f"ig.tensor(np.asarray({text}).astype({one.dtype!r}))"
    array = f"np.array({one.data.tolist()!r}, {one.dtype!r})"
    if one.data.size == 0:
        array += f".reshape({one.shape})"
    return f"ig.tensor({array})"


def _call(step: Step) -> str:
    """Return a step as a line of Python."""
    if step.function.startswith("x"):
        x, index, *value = step.args
        items: tuple[Any, ...] = index
        inside = ", ".join([_index_text(item) for item in items]) or "()"
        if len(items) == 1:
            inside += ","
        call = step.function.replace("x", repr(x), 1).replace("[]", f"[{inside}]")
        return f"{step.name} = {call}" + (f"({value[0]!r})" if value else "")
    args = [repr(a) for a in step.args] + [f"{k}={v!r}" for k, v in step.kwargs.items()]
    return f"{step.name} = {step.function}({', '.join(args)})"


def _index_text(item: Any) -> str:
    if isinstance(item, slice):
        parts: list[Any] = [item.start, item.stop, item.step]  # pyright: ignore[reportUnknownMemberType]
        return ":".join(["" if part is None else repr(part) for part in parts])
    return "..." if item is Ellipsis else repr(item)


_TOTAL = """

def total(outs):
    floats = [out for out in outs if out.dtype.kind == "f"]
    return sum([ig.sum(ig.sin(out)) for out in floats], ig.tensor(0.0, dtype="float64"))
"""

_LOSS = """

def loss(*xs):
    return total(fn(*xs))
"""

_DERIVATIVES = {
    "grad": """

def run(*xs):
    return (*fn(*xs), *ig.grad(loss, argnums={at})(*xs))""",
    "grad of grad": """

def bent(*xs):
    return total(ig.grad(loss, argnums={at})(*xs))


def run(*xs):
    return (*fn(*xs), *ig.grad(bent, argnums={at})(*xs))""",
    "jvp": """

def run(*xs):
    def moved(*primals):
        placed = list(xs)
        for n, x in zip({at}, primals):
            placed[n] = x
        return loss(*placed)

    primals = tuple(xs[n] for n in {at})
    return (*fn(*xs), ig.jvp(moved, primals, tuple(ig.cos(x) for x in primals))[1])""",
}


def _derivative_source(derivative: str, at: tuple[int, ...]) -> list[str]:
    if not derivative:
        return []
    parts = [_TOTAL]
    if derivative != "backward":
        parts += [_LOSS, _DERIVATIVES[derivative].format(at=at)]
    return [line for part in parts for line in part.rstrip("\n").split("\n")]


def _comparison_source(derivative: str, at: tuple[int, ...], seed: int) -> list[str]:
    run = "fn" if derivative in ("", "backward") else "run"
    if derivative != "backward":
        return [
            f"ig.manual_seed({seed})",
            f"eager = {run}(*arguments)",
            f"ig.manual_seed({seed})",
            f"compiled = ig.compile({run})(*arguments)",
            *_PRINT,
        ]
    return [
        "def results(run):",
        f"    ig.manual_seed({seed})",
        "    xs = [x.detach() if isinstance(x, ig.Tensor) else x for x in arguments]",
        f"    followed = [xs[n].requires_grad_() for n in {at}]",
        "    outs = run(*xs)",
        "    total(outs).backward()",
        "    grads = [ig.zeros_like(x) if x.grad is None else x.grad for x in followed]",
        "    return (*outs, *grads)",
        "",
        "",
        "eager, compiled = results(fn), results(ig.compile(fn))",
        *_PRINT,
    ]


_PRINT = [
    "for a, b in zip(eager, compiled):",
    "    print(a.numpy(), b.numpy())",
    "    np.testing.assert_array_equal(a.numpy(), b.numpy())",
]
