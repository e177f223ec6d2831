"""Random programs from a seed. Steps are tried out while they are chosen, so values stay sane."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import prod
from typing import Any

import numpy as np

import isograd as ig
from isograd.core import dtypes
from isograd.testing.fuzz.program import Drawn, Input, Program, Ref, Step, refs_in

__all__ = ["Builder", "generate"]

Value = Any

#: Values larger than this are kept only in programs that may overflow.
_LARGE = 1e3
_MOST_ELEMENTS = 3000

_SIZES = (1, 2, 2, 3, 3, 4, 5, 7, 9, 16, 17, 33, 64, 130)


def generate(seed: int) -> Program:
    """Return the random program of a seed.

    Parameters
    ----------
    seed
        Any int that is not negative.

    Returns
    -------
    Program

    Examples
    --------
    >>> generate(7).source() == generate(7).source()
    True
    """
    from isograd.testing.fuzz.proposals import FIRST, PROPOSALS, WEIGHTS

    builder = Builder(seed)
    rng = builder.rng
    with ig.use_backend("numpy"):
        ig.manual_seed(seed)
        for _ in range(int(rng.integers(1, 4))):
            FIRST(builder)
        length = int(rng.integers(1, 16))
        for _ in range(8 * length):
            if len(builder.steps) >= length:
                break
            PROPOSALS[int(rng.choice(len(PROPOSALS), p=WEIGHTS))](builder)
        return builder.finished()


class Builder:
    """A program in the making, with the values that its steps have for its data.

    Attributes
    ----------
    rng : Generator
        Where all choices come from.
    floats : tuple of str
        The floating dtypes of this program.
    """

    def __init__(self, seed: int) -> None:
        self.seed = seed
        self.rng = np.random.default_rng(seed)
        self.values: dict[str, Value] = {}
        self.numbers: list[Ref] = []
        self._given: dict[str, Any] = {}
        self.inputs: list[Input] = []
        self.steps: list[Step] = []
        self.floats: tuple[str, ...] = self.choice(
            [("float32",), ("float32",), ("float64",), ("float32", "float64")]
        )
        #: Whether NaN, infinities and large numbers are welcome.
        self.special = self.chance(0.15)
        self.sizes: list[int] = [self.choice(_SIZES) for _ in range(3)]
        if self.chance(0.06):
            self.sizes.append(0)

    # -- choices -----------------------------------------------------------------------------------

    def chance(self, probability: float) -> bool:
        """Return true as often as is asked for."""
        return bool(self.rng.random() < probability)

    def choice(self, items: Sequence[Any]) -> Any:
        """Return one of some items."""
        return items[int(self.rng.integers(len(items)))]

    def below(self, count: int) -> int:
        """Return an int from 0 to ``count - 1``."""
        return int(self.rng.integers(count))

    def order(self, count: int) -> tuple[int, ...]:
        """Return the ints below ``count`` in some order."""
        return tuple([int(n) for n in self.rng.permutation(count)])

    def axis(self, x: Value) -> int:
        """Return an axis of a value that has some, counted from either end."""
        return self.below(2 * x.ndim) - x.ndim

    def axes(self, x: Value) -> Any:
        """Return what a reduction may take: None, an axis, or several."""
        if x.ndim == 0 or self.chance(0.2):
            return None
        if self.chance(0.5):
            return self.axis(x)
        count = 1 + self.below(x.ndim)
        return self.order(x.ndim)[:count]

    def shape(self, ndim: int | None = None) -> tuple[int, ...]:
        """Return a shape of the program's sizes."""
        count: int = self.choice([0, 1, 1, 2, 2, 2, 3, 3, 4]) if ndim is None else ndim
        shape: list[int] = []
        for _ in range(count):
            size = self.choice([*self.sizes, 1])
            elements = prod([max(n, 1) for n in shape])
            shape.append(size if elements * size <= _MOST_ELEMENTS // 2 else 2)
        return tuple(shape)

    def pick(self, kinds: str = "f", where: Callable[[Value], bool] | None = None) -> Ref | None:
        """Return a value whose dtype is one of some kinds, later ones more often; or None."""
        names = [
            name
            for name, x in self.values.items()
            if x.dtype.kind in kinds and (where is None or where(x))
        ]
        if not names:
            return None
        late = self.rng.random() ** 0.5 if self.chance(0.7) else self.rng.random()
        return Ref(names[min(int(late * len(names)), len(names) - 1)])

    def partner(self, x: Value, kinds: str = "f") -> Ref | None:
        """Return a value that broadcasts with another, or None."""

        def fits(y: Value) -> bool:
            if y.size == 0 and x.size:
                return False
            try:
                shape = np.broadcast_shapes(x.shape, y.shape)
            except ValueError:
                return False
            return prod(shape) <= _MOST_ELEMENTS

        return self.pick(kinds, fits)

    def __getitem__(self, ref: Ref) -> Value:
        return self.values[ref.name]

    # -- building ----------------------------------------------------------------------------------

    def input(
        self,
        dtype: str,
        shape: tuple[int, ...],
        *,
        style: str = "normal",
        low: int = -2,
        high: int = 3,
        kind: str = "",
    ) -> Ref:
        """Add an input."""
        name = f"x{len(self.inputs)}"
        if not kind:
            kind = "constant" if self.chance(0.25) else "argument"
        data = Drawn(style, self.below(1_000_000), low, high)
        made = Input(name, kind, shape, dtype, data)
        self.inputs.append(made)
        if kind == "number":
            self._given[name] = float(made.array())
            self.numbers.append(Ref(name))
        else:
            self._given[name] = self.values[name] = ig.tensor(made.array())
        return Ref(name)

    def indices(self, size: int, shape: tuple[int, ...] | None = None) -> Ref:
        """Add an input of indices into an axis of some size."""
        some: tuple[int, ...] = self.choice([(), (1,), (2,), (4,), (2, 3), (7,)])
        dtype = self.choice(["int64", "int64", "int32"])
        at = some if shape is None else shape
        return self.input(dtype, at, style="whole", low=-size, high=size)

    def step(self, function: str, *args: Any, **kwargs: Any) -> Ref | None:
        """Add a step, unless its values are no good; return its value."""
        made = Step(f"v{len(self.steps)}", function, args, kwargs)
        out = made.run(self._given)
        if out.size > _MOST_ELEMENTS or not self._sane(out):
            return None
        self._given[made.name] = self.values[made.name] = out
        self.steps.append(made)
        return Ref(made.name)

    def _sane(self, out: Value) -> bool:
        if not dtypes.is_floating(out.dtype):
            return True
        array = out.numpy()
        return self.special or bool((np.abs(array) <= _LARGE).all())

    def finished(self) -> Program:
        """Return the program, with some of its values as outputs."""
        names = [step.name for step in self.steps] or [self.inputs[0].name]
        used = {ref for step in self.steps for ref in refs_in(step)}
        outputs = [name for name in names if name not in used or self.chance(0.1)]
        if self.chance(0.1):
            outputs += [self.choice([one.name for one in self.inputs if one.kind != "number"])]
        if self.chance(0.1):
            outputs += [self.choice(outputs)]
        kinds = ["", "", "grad", "grad", "grad", "backward", "jvp", "grad of grad"]
        derivative: str = self.choice(kinds)
        if not any(one.followed for one in self.inputs):
            derivative = ""
        steps, inputs, chosen = tuple(self.steps), tuple(self.inputs), tuple(outputs)
        return Program(self.seed, inputs, steps, chosen, derivative)
