"""Einstein's summation: parsed once, lowered to transposes, a matrix product a pair, and sums.

Labels of an operand are letters; the axes of its ellipsis are numbers, counted from the right.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from math import prod
from typing import Any

import numpy as np

from isograd.core import dtypes
from isograd.core.errors import DTypeError, ShapeError
from isograd.ir import Primitive
from isograd.ops import primitives as p
from isograd.ops.convert import as_tensor, cast, narrowed
from isograd.ops.diagonals import diagonal
from isograd.runtime.bind import bind
from isograd.runtime.tensor import Tensor

__all__ = ["einsum"]

Label = str | int
Labels = tuple[Label, ...]
Shape = tuple[int, ...]
Step = Callable[..., Tensor]
#: The number of a value, and its labels.
Term = tuple[int, Labels]

_LETTERS = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"


def einsum(subscripts: Any, /, *operands: Any, optimize: Any = False) -> Tensor:
    """Return the sum of products over labelled axes, in NumPy's notation.

    Parameters
    ----------
    subscripts
        For each operand a letter an axis, with commas between operands: ``"ij,jk->ik"``. A letter
        that is repeated in one operand takes its diagonal; one that is not in the output is summed.
        Without ``->`` the output has the letters that occur once, in alphabetical order. ``...``
        stands for axes that broadcast. Instead, operands may alternate with lists of numbers, the
        last of which is the output: ``einsum(x, [0, 1], y, [1, 2], [0, 2])``.
    *operands
        The tensors. Integers keep their dtype.
    optimize
        The order in which more than two operands are multiplied. False goes from left to right,
        True, ``"greedy"`` and ``"optimal"`` ask `numpy.einsum_path`, and a sequence of pairs is
        such a path itself.

    Returns
    -------
    Tensor
        Each pair of operands becomes one product of (batches of) matrices, without a copy where
        there is one label for rows, columns and the sum each, as in ``"bhqd,bhkd->bhqk"``.

    Raises
    ------
    ValueError
        If the subscripts are not in this notation.
    ShapeError
        If lengths of one label differ, or axes and letters do not fit.

    >>> x, y = tensor([[1.0, 2.0]]), tensor([[3.0], [4.0]])
    >>> einsum("ij,jk->ik", x, y).tolist()
    [[11.0]]
    >>> einsum("ii", tensor([[1.0, 2.0], [3.0, 4.0]])).item()
    5.0
    """
    if not isinstance(subscripts, str):
        subscripts, operands = _from_lists((subscripts, *operands))
    values = [*narrowed(*_same_dtype([as_tensor("einsum", x) for x in operands]))]
    way = optimize if isinstance(optimize, bool | str) else tuple(map(_step, optimize))
    plan = _planned(subscripts, tuple([t.aval.shape for t in values]), way)
    for step, used, static in plan.steps:
        values.append(step(*[values[i] for i in used], **static))
    return values[plan.result]


# -- reading ---------------------------------------------------------------------------------------


def _from_lists(arguments: Sequence[Any]) -> tuple[str, tuple[Any, ...]]:
    """Turn operands that alternate with lists of numbers into the notation with letters."""
    lists = [list(labels) for labels in arguments[1::2]]
    tail = [list(arguments[-1])] if len(arguments) % 2 else []

    def text(labels: list[Any]) -> str:
        for label in labels:
            if label is not Ellipsis and not (isinstance(label, int) and 0 <= label < 52):
                raise ValueError(
                    f"einsum: the label {label!r} is no integer in [0, 52) and no ellipsis; use "
                    "numbers"
                )
        return "".join(["..." if label is Ellipsis else _LETTERS[label] for label in labels])

    joined = ",".join(map(text, lists))
    output = "->" + text(tail[0]) if tail else ""
    return joined + output, tuple(arguments[: 2 * len(lists) : 2])


def _same_dtype(tensors: list[Tensor]) -> list[Tensor]:
    if not tensors:
        raise ValueError("einsum: there are no operands; pass one for each part of the subscripts")
    dtype = dtypes.result_type(*[t.dtype for t in tensors])
    if dtype == dtypes.bool:
        raise DTypeError(
            "einsum: the operands are of dtype bool; convert them with .astype, for example to "
            "isograd.int64"
        )
    return [cast(t, dtype) for t in tensors]


def _step(step: Any) -> Any:
    """Return a step of a path as what can be compared."""
    return step if isinstance(step, str) else tuple(step)


def _parsed(text: str, shapes: tuple[tuple[int, ...], ...]) -> tuple[list[Labels], Labels]:
    """Return the labels of each operand and of the output."""
    spaceless = text.replace(" ", "")
    left, arrow, right = spaceless.partition("->")
    parts = left.split(",")
    if len(parts) != len(shapes):
        raise ValueError(
            f"einsum: {text!r} has {len(parts)} operands, and {len(shapes)} were passed; pass one "
            "for each part between commas"
        )
    inputs = [_labels(text, part, len(shape)) for part, shape in zip(parts, shapes, strict=True)]
    spread = max([_hidden(labels) for labels in inputs])
    ellipsis: Labels = tuple(range(spread - 1, -1, -1))
    if not arrow:
        everywhere = [label for labels in inputs for label in labels if isinstance(label, str)]
        once = [label for label in everywhere if everywhere.count(label) == 1]
        return inputs, (*ellipsis, *sorted(once))
    if spread and "..." not in right:
        raise ValueError(
            f"einsum: {text!r} has axes under an ellipsis that the output lacks; write '...' there"
        )
    output = _labels(text, right, len(right.replace("...", "")) + spread)
    unknown = [x for x in output if not any(x in labels for labels in inputs)]
    twice = [x for x in output if output.count(x) > 1]
    if unknown or twice:
        wrong = (unknown or twice)[0]
        fault = "in no operand" if unknown else "in the output twice"
        raise ValueError(f"einsum: {text!r} has the label {wrong!r} {fault}; remove it")
    return inputs, output


def _hidden(labels: Labels) -> int:
    return len([label for label in labels if isinstance(label, int)])


def _labels(text: str, part: str, ndim: int) -> Labels:
    """Return the labels of one operand of ``ndim`` axes."""
    before, dots, after = part.partition("...")
    letters = before + after
    wrong = [c for c in letters if c not in _LETTERS]
    if wrong:
        raise ValueError(
            f"einsum: {text!r} has {wrong[0]!r}, which is no letter; write letters, commas, one "
            "'...' an operand, and '->'"
        )
    hidden = ndim - len(letters)
    if hidden < 0 or (hidden > 0 and not dots):
        raise ShapeError(
            f"einsum: in {text!r} the part {part!r} has {len(letters)} letters for an operand of "
            f"{ndim} axes; write a letter an axis, or '...'"
        )
    return (*before, *range(hidden - 1, -1, -1), *after)


def _sizes(text: str, inputs: list[Labels], shapes: Sequence[Shape]) -> dict[Label, int]:
    """Return the length of each label; lengths of 1 broadcast between operands."""
    sizes: dict[Label, int] = {}
    for number, (labels, shape) in enumerate(zip(inputs, shapes, strict=True)):
        own: dict[Label, int] = {}
        for label, n in zip(labels, shape, strict=True):
            known = own.setdefault(label, n)
            if known != n or (sizes.get(label, 1) not in (1, n) and n != 1):
                other = known if known != n else sizes[label]
                raise ShapeError(
                    f"einsum: in {text!r} label {label!r} has lengths {other} and {n} (operand "
                    f"{number} has shape {shape}); make them equal"
                )
        for label, n in own.items():
            sizes[label] = n if sizes.get(label, 1) == 1 else sizes[label]
    return sizes


def _path(
    optimize: Any, terms: Sequence[tuple[Shape, Labels]], output: Labels
) -> list[tuple[int, ...]]:
    """Return which terms are multiplied, again and again until one is left."""
    count = len(terms)
    if not isinstance(optimize, bool | str):
        path = [step for step in optimize if not isinstance(step, str)]
        if _left(path, count) != 1:
            raise ValueError(
                f"einsum: optimize={optimize!r} does not join {count} operands into one; name "
                "pairs of positions, as numpy.einsum_path does"
            )
        return path
    if count <= 2 or optimize is False:
        # What was made is the last term; the next to join it is then always the first.
        return [(0, 1), *[(count - step - 1, 0) for step in range(1, count - 1)]][: count - 1]
    if optimize not in (True, "greedy", "optimal"):
        raise ValueError(f"einsum: optimize is {optimize!r}; choose 'greedy' or 'optimal'")
    used = list(dict.fromkeys(label for _, labels in terms for label in labels))
    letters = {label: _LETTERS[i] for i, label in enumerate(used)}
    text = ",".join(["".join([letters[x] for x in labels]) for _, labels in terms])
    text += "->" + "".join([letters[x] for x in output])
    shapes = [np.broadcast_to(np.empty(()), shape) for shape, _ in terms]
    found: Any = np.einsum_path(text, *shapes, optimize=optimize)
    return [tuple(step) for step in found[0][1:]]


def _left(path: Sequence[tuple[int, ...]], count: int) -> int:
    for step in path:
        if len(set(step)) != len(step) or not all(0 <= i < count for i in step) or not step:
            return 0
        count -= len(step) - 1
    return count


# -- planning --------------------------------------------------------------------------------------


class _Plan:
    """Steps over numbered values: the operands first, then what each step makes.

    ``result`` is the number of what is returned.
    """

    def __init__(self, shapes: Sequence[Shape]) -> None:
        self.shapes = list(shapes)
        self.steps: list[tuple[Step, tuple[int, ...], dict[str, Any]]] = []
        self.result = 0

    def _add(self, step: Step, values: tuple[int, ...], shape: Shape, /, **static: Any) -> int:
        self.steps.append((step, values, static))
        self.shapes.append(shape)
        return len(self.shapes) - 1

    def transposed(self, term: Term, wanted: Labels) -> int:
        value, labels = term
        if wanted == labels:
            return value
        axes = tuple([labels.index(label) for label in wanted])
        shape = tuple([self.shapes[value][i] for i in axes])
        return self._add(_primitive(p.permute_dims), (value,), shape, axes=axes)

    def reshaped(self, value: int, shape: Shape) -> int:
        if shape == self.shapes[value]:
            return value
        return self._add(_primitive(p.reshape), (value,), shape, shape=shape)

    def summed(self, term: Term, needed: set[Label]) -> Term:
        """Sum over labels that nothing else has."""
        value, labels = term
        axes = tuple([i for i, label in enumerate(labels) if label not in needed])
        if not axes:
            return term
        kept = [i for i in range(len(labels)) if i not in axes]
        shape = tuple([self.shapes[value][i] for i in kept])
        made = self._add(_primitive(p.sum), (value,), shape, axis=axes, keepdims=False)
        return made, tuple([labels[i] for i in kept])

    def separated(self, term: Term, sizes: dict[Label, int]) -> Term:
        """Make the labels of an operand different, and drop axes that broadcast."""
        value, labels = term
        for label in dict.fromkeys(labels):
            while labels.count(label) > 1:
                first = labels.index(label)
                second = labels.index(label, first + 1)
                rest = [i for i in range(len(labels)) if i not in (first, second)]
                shape = tuple([self.shapes[value][i] for i in (*rest, first)])
                value = self._add(diagonal, (value,), shape, axis1=first, axis2=second)
                labels = (*[labels[i] for i in rest], label)
        kept = [i for i, label in enumerate(labels) if self.shapes[value][i] == sizes[label]]
        shape = tuple([self.shapes[value][i] for i in kept])
        return self.reshaped(value, shape), tuple([labels[i] for i in kept])

    def product(self, x: Term, y: Term, needed: set[Label], output: Labels) -> Term:
        """Multiply two terms and sum over the labels that are not needed any more."""
        x = self.summed(x, needed | set(y[1]))
        y = self.summed(y, needed | set(x[1]))
        both = [label for label in x[1] if label in y[1]]
        order = {label: i for i, label in enumerate(output)}
        batch = sorted([label for label in both if label in needed], key=lambda o: order.get(o, 99))
        inner = [label for label in both if label not in needed]
        rows = [label for label in x[1] if label not in both]
        columns = [label for label in y[1] if label not in both]
        if not inner:
            made = (*batch, *rows, *columns)
            return self._multiplied(x, y, made), made
        if rows and columns and order.get(columns[-1], -1) < order.get(rows[-1], -1):
            x, rows, y, columns = y, columns, x, rows
        made = (*batch, *rows, *columns)
        lengths = {**self._lengths(x), **self._lengths(y)}
        left = self._matrices(x, batch, rows, inner)
        right = self._matrices(y, batch, inner, columns)
        shape = (*self.shapes[left][:-1], self.shapes[right][-1])
        out = self._add(_primitive(p.matmul), (left, right), shape)
        return self.reshaped(out, tuple([lengths[label] for label in made])), made

    def _lengths(self, term: Term) -> dict[Label, int]:
        return dict(zip(term[1], self.shapes[term[0]], strict=True))

    def _multiplied(self, x: Term, y: Term, made: Labels) -> int:
        """Multiply element by element, with axes of length 1 for labels that a term lacks."""
        lengths = {**self._lengths(x), **self._lengths(y)}
        sides: list[int] = []
        for term in (x, y):
            value = self.transposed(term, tuple([label for label in made if label in term[1]]))
            wide = tuple([lengths[label] if label in term[1] else 1 for label in made])
            sides.append(self.reshaped(value, wide))
        shape = tuple([lengths[label] for label in made])
        return self._add(_primitive(p.mul), (sides[0], sides[1]), shape)

    def _matrices(
        self, term: Term, batch: list[Label], rows: list[Label], columns: list[Label]
    ) -> int:
        """Bring an operand in the shape ``(*batch, rows, columns)``."""
        value = self.transposed(term, (*batch, *rows, *columns))
        shape = self.shapes[value]
        first, second = len(batch), len(batch) + len(rows)
        matrices = (prod(shape[first:second]), prod(shape[second:]))
        return self.reshaped(value, (*shape[:first], *matrices))


def _primitive(prim: Primitive) -> Step:
    return functools.partial(bind, prim)


@functools.lru_cache(maxsize=1024)
def _planned(text: str, shapes: tuple[Shape, ...], optimize: Any) -> _Plan:
    """Return the steps for operands of these shapes."""
    inputs, output = _parsed(text, shapes)
    sizes = _sizes(text, inputs, shapes)
    plan = _Plan(shapes)
    terms = [plan.separated(term, sizes) for term in enumerate(inputs)]
    for chosen in _path(optimize, [(plan.shapes[i], labels) for i, labels in terms], output):
        parts = [terms[i] for i in chosen]
        rest = [term for i, term in enumerate(terms) if i not in chosen]
        needed = {label for _, labels in rest for label in labels} | set(output)
        made = parts[0]
        for position, part in enumerate(parts[1:], start=2):
            later = {label for _, labels in parts[position:] for label in labels}
            made = plan.product(made, part, needed | later, output)
        terms = [*rest, made]
    plan.result = plan.transposed(plan.summed(terms[0], set(output)), output)
    return plan
