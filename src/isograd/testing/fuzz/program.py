"""Programs of the fuzzer: a list of steps as data, which runs, and prints itself as Python."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

import isograd as ig
from isograd.core import dtypes
from isograd.testing.fuzz.noise import Noise

__all__ = ["STYLES", "Drawn", "Input", "Program", "Ref", "Step", "refs_in"]

Array = Any

#: What input arrays are made of, as source.
STYLES: Mapping[str, str] = {
    "normal": "standard_normal({shape})",
    "whole": "integers({low}, {high}, {shape})",
    "special": "choice([-0.0, 0.0, -1.0, 2.0, inf, -inf, nan], {shape})",
}

_SPECIAL = (-0.0, 0.0, -1.0, 2.0, np.inf, -np.inf, np.nan)

#: Between the numbers of the arrays that a program is traced with and those that it is run with.
_NEXT_DATA = 1_000_003


@dataclasses.dataclass(frozen=True)
class Ref:
    """The value of an input or of an earlier step, as an argument of a step."""

    name: str

    def __repr__(self) -> str:
        return self.name


@dataclasses.dataclass(frozen=True)
class Drawn:
    """Data that a seeded generator draws; ``low`` and ``high`` are those of whole numbers."""

    style: str
    seed: int
    low: int = -2
    high: int = 3


@dataclasses.dataclass(frozen=True, eq=False)
class Input:
    """What a program starts from.

    Attributes
    ----------
    name : str
    kind : str
        ``"argument"``: a tensor that it is called with; ``"constant"``: one that it captures;
        ``"number"``: a Python float that it is called with.
    shape : tuple of int
    dtype : str
    data : Drawn or ndarray
        Drawn data differ between a program's runs, an array stays.
    """

    name: str
    kind: str
    shape: tuple[int, ...]
    dtype: str
    data: Any

    def array(self, variant: int = 0) -> Array:
        """Return the data, other data for another variant."""
        if not isinstance(self.data, Drawn):
            return self.data
        rng = np.random.default_rng(self.data.seed + variant * _NEXT_DATA)
        drawn: Array
        match self.data.style:
            case "normal":
                drawn = rng.standard_normal(self.shape)
            case "whole":
                drawn = rng.integers(self.data.low, self.data.high, self.shape)
            case _:
                drawn = rng.choice(_SPECIAL, self.shape)
        return np.asarray(drawn).astype(self.dtype)

    @property
    def followed(self) -> bool:
        """Whether derivatives are taken with respect to it."""
        return self.kind == "argument" and dtypes.is_floating(np.dtype(self.dtype))


@dataclasses.dataclass(frozen=True, eq=False)
class Step:
    """One call of a public function.

    Attributes
    ----------
    name : str
        What the result is called.
    function : str
        As in ``"ig.add"`` or ``"F.softmax"``; or ``"x[]"``, ``"x.at[].set"``, ``"x.at[].add"``,
        with the arguments x, index (and value).
    args, kwargs
        Arguments: `Ref`, numbers, strings, None, slices, and lists and tuples of these.
    """

    name: str
    function: str
    args: tuple[Any, ...]
    kwargs: Mapping[str, Any] = dataclasses.field(default_factory=dict[str, Any])

    def run(self, values: Mapping[str, Any]) -> Any:
        """Call the function with the values of earlier steps."""
        args = [_filled(a, values) for a in self.args]
        kwargs = {k: _filled(v, values) for k, v in self.kwargs.items()}
        if self.function == "x[]":
            return args[0][args[1]]
        if self.function == "x.at[].set":
            return args[0].at[args[1]].set(args[2])
        if self.function == "x.at[].add":
            return args[0].at[args[1]].add(args[2])
        home, *path = self.function.split(".")
        found: Any = {"ig": ig, "F": ig.nn.functional}[home]
        for part in path:
            found = getattr(found, part)
        return found(*args, **kwargs)


@dataclasses.dataclass(frozen=True, eq=False)
class Program:
    """A random program.

    Attributes
    ----------
    seed : int
        What it was generated from; also the state of the random numbers that it draws.
    inputs : tuple of Input
    steps : tuple of Step
    outputs : tuple of str
        Names of values.
    derivative : str
        What is computed beside the outputs, of the sum of ``sin`` of all floating outputs:
        ``""``: nothing; ``"grad"``: its gradients; ``"grad of grad"``: those of the sum of ``sin``
        of its gradients; ``"jvp"``: its derivative along ``cos`` of the arguments;
        ``"backward"``: its gradients by a backward pass outside of what is compiled.
    """

    seed: int
    inputs: tuple[Input, ...]
    steps: tuple[Step, ...]
    outputs: tuple[str, ...]
    derivative: str = ""

    @property
    def parameters(self) -> list[Input]:
        """The inputs that it is called with."""
        return [i for i in self.inputs if i.kind != "constant"]

    @property
    def followed(self) -> tuple[int, ...]:
        """Numbers of the parameters that derivatives are taken with respect to."""
        return tuple([n for n, i in enumerate(self.parameters) if i.followed])

    def arguments(self, variant: int = 0) -> list[Any]:
        """Return what it is called with."""
        return [
            float(i.array(variant)) if i.kind == "number" else ig.tensor(i.array(variant))
            for i in self.parameters
        ]

    def values(
        self, xs: Sequence[Any], constants: Mapping[str, Any], noise: Noise | None = None
    ) -> dict[str, Any]:
        """Return the values of all inputs and steps by name."""
        given = iter(xs)
        values: dict[str, Any] = {}
        for one in self.inputs:
            made = constants[one.name] if one.kind == "constant" else next(given)
            values[one.name] = made if noise is None else noise.on_input(made)
        for step in self.steps:
            if noise is None:
                values[step.name] = step.run(values)
                continue
            # One noise for a value that a step uses twice, so that it stays one value.
            names = dict.fromkeys(refs_in(step))
            seen = {name: noise.on_argument(step.function, values[name]) for name in names}
            values[step.name] = noise.on_result(step.function, step.run(seen))
        return values

    def constants(self) -> dict[str, Any]:
        """Return the tensors that the program captures."""
        return {i.name: ig.tensor(i.array()) for i in self.inputs if i.kind == "constant"}

    def function(self, noise: Noise | None = None) -> Callable[..., tuple[Any, ...]]:
        """Return the program as a function of its arguments, with its constants captured."""
        constants = self.constants()

        def fn(*xs: Any) -> tuple[Any, ...]:
            values = self.values(xs, constants, noise)
            return tuple([values[name] for name in self.outputs])

        return fn

    def derived(self, noise: Noise | None = None) -> Callable[..., tuple[Any, ...]]:
        """Return what is compiled: the function with the derivatives that are asked for."""
        fn, at = self.function(noise), self.followed

        def loss(*xs: Any) -> Any:
            return _total(fn(*xs))

        def bent(*xs: Any) -> Any:
            return _total(ig.grad(loss, argnums=at)(*xs))

        def along(*xs: Any) -> Any:
            def moved(*primals: Any) -> Any:
                placed = list(xs)
                for n, x in zip(at, primals, strict=True):
                    placed[n] = x
                return loss(*placed)

            primals = tuple([xs[n] for n in at])
            return ig.jvp(moved, primals, tuple([ig.cos(x) for x in primals]))[1]

        if self.derivative == "grad":
            return lambda *xs: (*fn(*xs), *ig.grad(loss, argnums=at)(*xs))
        if self.derivative == "grad of grad":
            return lambda *xs: (*fn(*xs), *ig.grad(bent, argnums=at)(*xs))
        if self.derivative == "jvp":
            return lambda *xs: (*fn(*xs), along(*xs))
        return fn

    def run(self, run: Callable[..., Any], variant: int = 0) -> list[Array]:
        """Run what `derived` returned, or the same compiled, and return arrays."""
        ig.manual_seed(self.seed)
        xs = self.arguments(variant)
        at = self.followed if self.derivative == "backward" else ()
        for n in at:
            xs[n] = xs[n].requires_grad_()
        outs = list(run(*xs))
        if at:
            total = _total(outs)
            if total.requires_grad:
                total.backward()
            outs += [ig.zeros_like(xs[n]) if xs[n].grad is None else xs[n].grad for n in at]
        return [np.array(out.numpy()) for out in outs]

    def labels(self) -> list[str]:
        """Return what the arrays that `run` returns are called."""
        names = [self.parameters[n].name for n in self.followed]
        if self.derivative == "jvp":
            return [*self.outputs, "derivative"]
        pulled = names if self.derivative else []
        return [*self.outputs, *[f"gradient of {name}" for name in pulled]]

    def source(self, backend: str = "numpy") -> str:
        """Return a script that runs the program eagerly and compiled and compares the two."""
        from isograd.testing.fuzz.source import script

        return script(self, backend)


def _total(outs: Sequence[Any]) -> Any:
    total = ig.tensor(0.0, dtype="float64")
    for out in outs:
        if dtypes.is_floating(out.dtype):
            total = total + ig.sum(ig.sin(out))
    return total


def refs_in(item: Any) -> Iterator[str]:
    """Yield the names that a step or an argument of one refers to, repeatedly where it does."""
    if isinstance(item, Ref):
        yield item.name
    elif isinstance(item, Step):
        yield from refs_in([*item.args, *item.kwargs.values()])
    elif isinstance(item, tuple | list):
        for part in item:  # pyright: ignore[reportUnknownVariableType]
            yield from refs_in(part)


def _filled(item: Any, values: Mapping[str, Any]) -> Any:
    if isinstance(item, Ref):
        return values[item.name]
    if isinstance(item, tuple | list):
        return type(item)([_filled(part, values) for part in item])  # pyright: ignore[reportUnknownVariableType, reportUnknownArgumentType]
    return item
