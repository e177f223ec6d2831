"""Loops of compiled programs as CUDA C: one kernel for each, all of a program in one module.

A loop without reductions has a thread for each element. One that reduces has a warp for each row of
up to 2048 terms, and a block for each longer one; or a block for 32 neighbouring columns, where the
rows of its results are neighbours in memory. Rows are added by the tree of `reduce.cu`, columns by
one of their own; both depend on the sizes alone. What a reduction needs is made again, not kept.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Final, NamedTuple

import numpy as np

from isograd.backend import dtypes
from isograd.backend.schedule import REDUCTIONS, Kernel, Node, Store
from isograd_cupy._elementwise import expression_of
from isograd_cupy._launch import C_TYPES, Kernels, grid_for, read
from isograd_cupy._layout import is_half

__all__ = ["MOST_TERMS", "Rendered", "module_of", "render", "speaks"]

#: Nodes that are not elementwise primitives.
_OWN: Final = frozenset({"load", "const", "index", "where", "astype", "stop_gradient"})
_COMBINE: Final = {
    "sum": "x + y",
    "max": "larger(x, y)",
    "min": "smaller(x, y)",
    "any": "x || y",
    "all": "x && y",
}
_CHUNK: Final = 2048  # terms that a warp reduces
_ROWS: Final = 8  # warps of a block
_COLUMNS: Final = 32
MOST_TERMS: Final = 1 << 18
"""Terms of the longest rows that are reduced in loops."""


def speaks(name: str, kinds: list[np.dtype[Any]], static: dict[str, Any], /) -> bool:
    """Tell whether a primitive on these dtypes (arguments, then result) can be part of a loop."""
    if any(is_half(d) for d in kinds):
        return False  # each operation rounds, which its own kernel does
    if name in REDUCTIONS:  # what lanes exchange has 64 bits
        return kinds[0] == kinds[-1] and kinds[0].kind != "c"
    return name in _OWN or expression_of(name, kinds[0], static) is not None


class Rendered(NamedTuple):
    """A loop: its kernel's name, the functions that it calls, its text, and how to launch it."""

    name: str
    functions: tuple[str, ...]
    body: str
    grid: tuple[int, ...]
    block: tuple[int, ...]

    @property
    def text(self) -> str:
        """All that was written for it."""
        return "\n".join([*self.functions, self.body])


def _literal(value: Any, dtype: np.dtype[Any]) -> str:
    if dtype.kind == "b":
        return "true" if value else "false"
    if dtype.kind in "iu":
        number = int(value)
        text = f"{number}LL" if -(2**63) < number < 2**63 else f"{number % 2**64}ULL"
        return f"({C_TYPES[dtype.name]})({text})"
    if dtype.kind == "c":
        parts = [_literal(part, np.dtype("f8")) for part in (value.real, value.imag)]
        return f"(({C_TYPES[dtype.name]})complex_t<double>({', '.join(parts)}))"
    bits = int(np.float64(value).view(np.uint64))
    return f"({C_TYPES[dtype.name]})reinterpret<double>({bits}ULL)"


class _Writer:
    """Collects the functions that kernels call, and those that one of them calls."""

    def __init__(self) -> None:
        self.functions: dict[str, str] = {}
        self.used: dict[str, None] = {}

    def call(self, node: Node, arguments: list[str], kind: np.dtype[Any]) -> str:
        """Return a call of a primitive on values of a dtype."""
        expression = expression_of(node.op, kind, dict(node.static))
        assert expression is not None, node
        return self._call(f"{node.op}_{len(node.static)}", expression, arguments, kind, node)

    def _call(
        self, name: str, expression: str, arguments: list[str], kind: np.dtype[Any], node: Node
    ) -> str:
        c, out = C_TYPES[kind.name], C_TYPES[node.dtype]
        letters = ", ".join(f"{c} {letter}" for letter in "xyz"[: len(arguments)])
        body = f"({letters}) {{ typedef {c} A; return ({out})({expression}); }}"
        known = self.functions.setdefault(body, f"{name}_{kind.name}_{len(self.functions)}")
        self.used[f"__device__ __forceinline__ {out} {known}{body}"] = None
        return f"{known}({', '.join(arguments)})"

    def combined(self, node: Node, one: str, other: str) -> str:
        """Return a step of a reduction."""
        kind = dtypes.as_dtype(node.dtype)
        return self._call(node.op, _COMBINE[node.op], [one, other], kind, node)

    def cast(self, argument: str, kind: np.dtype[Any], node: Node) -> str:
        """Return a conversion, by the rules of the kernel of ``astype``."""
        expression = expression_of("astype", kind, {"dtype": dtypes.as_dtype(node.dtype)})
        assert expression is not None
        return self._call("astype", expression, [argument], kind, node)


def _at(strides: tuple[int, ...]) -> str:
    return " + ".join([f"i{k} * {s}LL" for k, s in enumerate(strides) if s]) or "0"


def _value(writer: _Writer, kernel: Kernel, node: Node) -> str:
    arguments = [f"v{a}" for a in node.args]
    dtype = dtypes.as_dtype(node.dtype)
    if node.op == "load":
        return f"p{node.static[0]}[{_at(node.static[1])}]"
    if node.op == "const":
        if is_half(dtype):
            return f"rounded<{C_TYPES[node.dtype]}>({_literal(node.static[0], np.dtype('f4'))})"
        return _literal(node.static[0], dtype)
    if node.op == "index":
        strides, start, step = node.static
        if dtype.kind in "iu":
            return f"({C_TYPES[node.dtype]})({int(start)}LL + {int(step)}LL * ({_at(strides)}))"
        first, by = (_literal(v, np.dtype("f8")) for v in (start, step))
        exact = f"(double)({_at(strides)}) * {by} + {first}"
        if is_half(dtype):
            return f"rounded<{C_TYPES[node.dtype]}>((float)({exact}))"
        return f"({C_TYPES[node.dtype]})({exact})"
    if node.op == "where":
        return f"{arguments[0]} ? {arguments[1]} : {arguments[2]}"
    if node.op == "stop_gradient":
        return arguments[0]
    kind = dtypes.as_dtype(kernel.nodes[node.args[0]].dtype)
    if node.op == "astype":
        return arguments[0] if kind == dtype else writer.cast(arguments[0], kind, node)
    return writer.call(node, arguments, kind)


def _indices(number: str, axes: Sequence[int], shape: Sequence[int], pad: str) -> Iterator[str]:
    """Yield the lines that take a number apart into the indices of some axes, the last fastest."""
    small = math.prod([shape[a] for a in axes]) < 2**32
    kind, mark = ("unsigned", "u") if small else ("long long", "LL")
    if len(axes) > 1:
        yield f"{pad}{kind} rest_{number} = ({kind}){number};"
    for axis in reversed(axes):
        if axis == axes[0]:
            yield f"{pad}long long i{axis} = {number if len(axes) == 1 else f'rest_{number}'};"
        else:
            yield f"{pad}long long i{axis} = rest_{number} % {shape[axis]}{mark};"
            yield f"{pad}rest_{number} /= {shape[axis]}{mark};"


class _Body:
    """Writes the body of one kernel."""

    def __init__(self, writer: _Writer, kernel: Kernel) -> None:
        self.writer = writer
        self.kernel = kernel
        self.kept = [i for i, r in enumerate(kernel.reduced) if not r]
        self.inside = [i for i, r in enumerate(kernel.reduced) if r]
        self.terms = math.prod([kernel.shape[i] for i in self.inside])
        reduced = set(self.inside)
        #: Nodes with a value for each term; the others have one for each item.
        self.deep: set[int] = {n for n, axes in enumerate(kernel.axes) if axes & reduced}

    def node(self, number: int, pad: str) -> str:
        node = self.kernel.nodes[number]
        text = _value(self.writer, self.kernel, node)
        return f"{pad}{C_TYPES[node.dtype]} v{number} = {text};"

    def store(self, store: Store, pad: str) -> str:
        return f"{pad}p{store.param}[{_at(store.strides)}] = v{store.node};"

    def items(self, phase: int, pad: str) -> list[str]:
        """Return the values of an item that need so many reductions."""
        kernel = self.kernel
        return [
            self.node(n, pad)
            for n, node in enumerate(kernel.nodes)
            if n not in self.deep and node.op not in REDUCTIONS and kernel.phases[n] == phase
        ]

    def of_terms(self, targets: Iterable[int], pad: str) -> list[str]:
        """Return the values of a term that some nodes are computed from, these included."""
        found: set[int] = set()
        todo = list(targets)
        while todo:
            number = todo.pop()
            if number in self.deep and number not in found:
                found.add(number)
                todo.extend(self.kernel.nodes[number].args)
        return [self.node(n, pad) for n in sorted(found)]

    def reductions(self, phase: int) -> list[int]:
        kernel = self.kernel
        return [
            n
            for n, node in enumerate(kernel.nodes)
            if node.op in REDUCTIONS and kernel.phases[n] == phase
        ]

    def stores(self, *, deep: bool) -> list[Store]:
        """Return the stores of each term, or those of each item."""
        return [
            s
            for s in self.kernel.stores
            if (s.node in self.deep or any(s.strides[i] for i in self.inside)) == deep
        ]

    def declared(self, numbers: Sequence[int], pad: str) -> list[str]:
        kinds = [(n, C_TYPES[self.kernel.nodes[n].dtype]) for n in numbers]
        return [f"{pad}{kind} v{n} = ({kind})0;" for n, kind in kinds]

    def added(self, number: int, first: str, pad: str) -> str:
        """Return the line that takes the value of a term into a reduction."""
        node = self.kernel.nodes[number]
        value, kind = f"v{node.args[0]}", C_TYPES[node.dtype]
        combined = self.writer.combined(node, f"v{number}", value)
        return f"{pad}v{number} = {first} ? ({kind}){value} : {combined};"

    def lanes(self, number: int, condition: str, pad: str) -> list[str]:
        """Return how the lanes of a warp are combined in pairs, and all get the result."""
        node = self.kernel.nodes[number]
        kind, name = C_TYPES[node.dtype], f"v{number}"
        return [
            f"{pad}for (int o = 16; o > 0; o >>= 1) {{",
            f"{pad}  {kind} other = ({kind})__shfl_down_sync(0xffffffffu, {name}, o);",
            f"{pad}  if (lane < o && {condition}) {name} = "
            f"{self.writer.combined(node, name, 'other')};",
            f"{pad}}}",
        ]

    def spread(self, number: int, pad: str) -> str:
        kind = C_TYPES[self.kernel.nodes[number].dtype]
        return f"{pad}v{number} = ({kind})__shfl_sync(0xffffffffu, v{number}, 0);"

    def last(self, start: str, step: int, pad: str) -> list[str]:
        """Return the loop over the terms that writes what each of them has."""
        stores = self.stores(deep=True)
        if not stores:
            return []
        return [
            f"{pad}for (long long t = {start}; t < {self.terms}LL; t += {step}) {{",
            *_indices("t", self.inside, self.kernel.shape, pad + "  "),
            *self.of_terms([s.node for s in stores], pad + "  "),
            *[self.store(s, pad + "  ") for s in stores],
            f"{pad}}}",
        ]

    # -- the four forms ----------------------------------------------------------------------------

    def elements(self) -> tuple[list[str], tuple[int, ...], tuple[int, ...]]:
        shape = self.kernel.shape
        count = math.prod(shape)
        lines = [
            f"  for (long long i = first_index(); i < {count}LL; i += index_step()) {{",
            *_indices("i", self.kept, shape, "    "),
            *[self.node(n, "    ") for n in range(len(self.kernel.nodes))],
            *[self.store(s, "    ") for s in self.kernel.stores],
            "  }",
        ]
        return lines, grid_for(count), (256,)

    def short_rows(self) -> tuple[list[str], tuple[int, ...], tuple[int, ...]]:
        """Give each item a warp."""
        items, pad = self.kernel.items, "    "
        lines = [
            "  int lane = threadIdx.x & 31;",
            f"  long long item = (long long)blockIdx.x * {_ROWS} + (threadIdx.x >> 5);",
            f"  for (; item < {items}LL; item += (long long)gridDim.x * {_ROWS}) {{",
            *_indices("item", self.kept, self.kernel.shape, pad),
            *self.items(0, pad),
        ]
        for phase in range(1, max(self.kernel.phases) + 1):
            numbers = self.reductions(phase)
            lines += [
                *self.declared(numbers, pad),
                f"{pad}for (long long t = lane; t < {self.terms}LL; t += 32) {{",
                *_indices("t", self.inside, self.kernel.shape, pad + "  "),
                *self.of_terms([self.kernel.nodes[n].args[0] for n in numbers], pad + "  "),
                *[self.added(n, "t < 32", pad + "  ") for n in numbers],
                f"{pad}}}",
            ]
            for n in numbers:
                lines += [*self.lanes(n, f"lane + o < {self.terms}", pad), self.spread(n, pad)]
            lines += self.items(phase, pad)
        stores = [self.store(s, pad + "  ") for s in self.stores(deep=False)]
        if stores:
            lines += [f"{pad}if (lane == 0) {{", *stores, f"{pad}}}"]
        lines += [*self.last("lane", 32, pad), "  }"]
        return lines, (min(-(-items // _ROWS), 1 << 20),), (32 * _ROWS,)

    def long_rows(self) -> tuple[list[str], tuple[int, ...], tuple[int, ...]]:
        """Give each item a block: its warps reduce chunks, and then all of them the chunks."""
        items, pad, chunks = self.kernel.items, "    ", -(-self.terms // _CHUNK)
        most = max([len(self.reductions(p)) for p in range(1, max(self.kernel.phases) + 1)])
        lines = [
            f"  __shared__ unsigned long long parts[{most}][{chunks}];",
            "  int lane = threadIdx.x & 31, warp = threadIdx.x >> 5;",
            f"  for (long long item = blockIdx.x; item < {items}LL; item += gridDim.x) {{",
            *_indices("item", self.kept, self.kernel.shape, pad),
            *self.items(0, pad),
        ]
        for phase in range(1, max(self.kernel.phases) + 1):
            numbers = self.reductions(phase)
            kinds = [C_TYPES[self.kernel.nodes[n].dtype] for n in numbers]
            lines += [
                *self.declared(numbers, pad),
                f"{pad}for (int chunk = warp; chunk < {chunks}; chunk += {_ROWS}) {{",
                f"{pad}  int begin = chunk * {_CHUNK}, end = begin + {_CHUNK};",
                f"{pad}  end = end < {self.terms} ? end : {self.terms};",
                f"{pad}  for (int t = begin + lane; t < end; t += 32) {{",
                *_indices("t", self.inside, self.kernel.shape, pad + "    "),
                *self.of_terms([self.kernel.nodes[n].args[0] for n in numbers], pad + "    "),
                *[self.added(n, "t < begin + 32", pad + "    ") for n in numbers],
                f"{pad}  }}",
            ]
            for row, (n, kind) in enumerate(zip(numbers, kinds, strict=True)):
                lines += self.lanes(n, "begin + lane + o < end", pad + "  ")
                lines.append(f"{pad}  if (lane == 0) (({kind}*)parts[{row}])[chunk] = v{n};")
            lines += [f"{pad}}}", f"{pad}__syncthreads();"]
            for row, (n, kind) in enumerate(zip(numbers, kinds, strict=True)):
                part = f"(({kind}*)parts[{row}])"
                combined = self.writer.combined(self.kernel.nodes[n], f"v{n}", f"{part}[c]")
                lines += [
                    f"{pad}for (int c = lane; c < {chunks}; c += 32)",
                    f"{pad}  v{n} = c < 32 ? {part}[c] : {combined};",
                    *self.lanes(n, f"lane + o < {chunks}", pad),
                    self.spread(n, pad),
                ]
            lines += [f"{pad}__syncthreads();", *self.items(phase, pad)]
        stores = [self.store(s, pad + "  ") for s in self.stores(deep=False)]
        if stores:
            lines += [f"{pad}if (threadIdx.x == 0) {{", *stores, f"{pad}}}"]
        lines += [*self.last("threadIdx.x", 32 * _ROWS, pad), "  }"]
        return lines, (min(items, 1 << 20),), (32 * _ROWS,)

    def columns(self) -> tuple[list[str], tuple[int, ...], tuple[int, ...]]:
        """Give 32 neighbouring items a block, in eight rows of threads that share their terms."""
        kernel, items, pad = self.kernel, self.kernel.items, "    "
        kept = [*[a for a in self.kept if a != kernel.lane], kernel.lane]
        lines = [
            f"  __shared__ unsigned long long parts[{_ROWS}][{_COLUMNS + 1}];",
            "  int lane = threadIdx.y;",
            f"  for (long long first = (long long)blockIdx.x * {_COLUMNS}; first < {items}LL;"
            f" first += (long long)gridDim.x * {_COLUMNS}) {{",
            "    bool real = first + threadIdx.x < " + f"{items}LL;",
            f"    long long item = real ? first + threadIdx.x : {items - 1}LL;",
            *_indices("item", kept, kernel.shape, pad),
            *self.items(0, pad),
        ]
        for phase in range(1, max(kernel.phases) + 1):
            numbers = self.reductions(phase)
            lines += [
                *self.declared(numbers, pad),
                f"{pad}for (long long t = lane; t < {self.terms}LL; t += {_ROWS}) {{",
                *_indices("t", self.inside, kernel.shape, pad + "  "),
                *self.of_terms([kernel.nodes[n].args[0] for n in numbers], pad + "  "),
                *[self.added(n, f"t < {_ROWS}", pad + "  ") for n in numbers],
                f"{pad}}}",
            ]
            for n in numbers:
                kind = C_TYPES[kernel.nodes[n].dtype]
                mine, other = [
                    f"(({kind}*)parts[{row}])[threadIdx.x]" for row in ("lane", "lane + o")
                ]
                lines += [
                    f"{pad}{mine} = v{n};",
                    f"{pad}__syncthreads();",
                    f"{pad}for (int o = {_ROWS // 2}; o > 0; o >>= 1) {{",
                    f"{pad}  if (lane < o && lane + o < {self.terms})",
                    f"{pad}    {mine} = {self.writer.combined(kernel.nodes[n], mine, other)};",
                    f"{pad}  __syncthreads();",
                    f"{pad}}}",
                    f"{pad}v{n} = (({kind}*)parts[0])[threadIdx.x];",
                    f"{pad}__syncthreads();",
                ]
            lines += self.items(phase, pad)
        stores = [self.store(s, pad + "  ") for s in self.stores(deep=False)]
        if stores:
            lines += [f"{pad}if (lane == 0 && real) {{", *stores, f"{pad}}}"]
        last = self.last("lane", _ROWS, pad + "  ")
        if last:
            lines += [f"{pad}if (real) {{", *last, f"{pad}}}"]
        lines.append("  }")
        return lines, (min(-(-items // _COLUMNS), 1 << 20),), (_COLUMNS, _ROWS)

    def form(self) -> str:
        """Return the name of the form that fits."""
        kernel = self.kernel
        if not any(node.op in REDUCTIONS for node in kernel.nodes):
            self.kept, self.inside = [*range(len(kernel.shape))], []
            return "elements"
        lane = kernel.lane
        if lane >= 0 and not kernel.reduced[lane] and kernel.shape[lane] >= _COLUMNS:
            return "columns"
        return "short_rows" if self.terms <= _CHUNK else "long_rows"


_ROUNDED: Final = """
template <class V>
__device__ __forceinline__ V rounded(float value) {
  V out;
  narrow(&out, value);
  return out;
}
"""


def render(kernels: Sequence[Kernel], /) -> list[Rendered]:
    """Return a kernel for each of these, with the name of its form and a number."""
    writer = _Writer()
    found: list[Rendered] = []
    for number, kernel in enumerate(kernels):
        writer.used = {}
        body = _Body(writer, kernel)
        form = body.form()
        lines, grid, block = getattr(body, form)()
        parameters = ", ".join(f"{C_TYPES[d]}* p{i}" for i, d in enumerate(kernel.params))
        head = f'extern "C" __global__ void {form}_{number}({parameters}) {{'
        text = "\n".join([head, *lines, "}"])
        found.append(Rendered(f"{form}_{number}", tuple(writer.used), text, grid, block))
    return found


def module_of(loops: Sequence[Rendered], /) -> Kernels:
    """Return one module with all of these."""
    functions = dict.fromkeys(text for loop in loops for text in loop.functions)
    bodies = [loop.body for loop in loops]
    parts = [_ROUNDED, *functions, *bodies]
    more = [read("complex_math")] * any("complex_t" in part for part in parts)
    return Kernels("\n".join([read("math"), *more, *parts]), {})
