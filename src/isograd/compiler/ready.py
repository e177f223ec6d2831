"""The short way through a compiled call: everything as it was, state updated where it is.

After a call has gone the long way, `Ready` notes what it found: the tensors in all cells, flags,
modes. While nothing of that has changed, the next call needs no tree, no key and no new memory for
state: the program writes over the arrays that parameters, buffers and optimizer slots hold. Nobody
sees a value change, for these arrays were made here, and the program counts the references to them
before it runs: where somebody else holds one, the call goes the long way again.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from isograd.backend import Holding
from isograd.compiler.cells import (
    AttributeCell,
    Cell,
    GradCell,
    ItemCell,
    NumberCell,
    ValueCell,
    fixed_options,
)
from isograd.core.config import modes
from isograd.core.pytree import tree_flatten, tree_unflatten
from isograd.core.watched import changes
from isograd.runtime.registry import table_for
from isograd.runtime.tensor import Tensor

if TYPE_CHECKING:
    from isograd.core.devices import Device
    from isograd.ir import Aval

__all__ = ["MISSED", "Ready", "make_ready"]

#: What `Ready` returns for a call that must go the long way.
MISSED: Any = object()

_ONE = tree_flatten(0)[1]


class Ready:
    """A program with the state that it runs on."""

    def __init__(self, entry: Any, call: Any, held: Any, state: _State) -> None:
        self._held = held
        self._run = held.call
        self._state = state
        self._structure_seen = changes.structure
        self._numbers_seen = changes.numbers
        self._avals: list[Aval] = [t.aval for t in call.tensors]
        self._devices: list[Device] = [t.device for t in call.tensors]
        self._draws = entry.draws
        self._table = entry.program.table
        self._device_type = self._table.memory.device_type
        self._modes = (modes.grad, modes.nan_safe, modes.numerics)
        variables = entry.program.graph.outputs
        self._made = [(shape, dtype) for shape, dtype in held.outputs]
        self._empty = held.empty
        fresh = entry.fresh
        self._returned = [
            (None, other)
            if place is None
            else (fresh[place], (variables[place].aval, variables[place].device))
            for place, other in entry.returned
        ]
        self._structure = None if entry.structure == _ONE else entry.structure

    def __call__(self, args: tuple[Any, ...]) -> Any:
        """Return what the function returns, or MISSED with nothing done."""
        avals = self._avals
        if changes.structure != self._structure_seen or len(args) != len(avals):
            return MISSED
        if changes.numbers != self._numbers_seen:
            if not self._state.holds():
                return MISSED
            self._numbers_seen = changes.numbers
        arrays: list[Any] = []
        for t, aval, device in zip(args, avals, self._devices, strict=True):
            if (
                t.__class__ is not Tensor
                or t.device is not device
                or t.edge is not None
                or (t.aval is not aval and t.aval != aval)
            ):
                return MISSED
            arrays.append(t.array)
        mode = modes.__dict__
        if (mode["grad"], mode["nan_safe"], mode["numerics"]) != self._modes:
            return MISSED
        table = mode["backends"].get(self._device_type) or table_for(self._device_type)
        if table is not self._table:
            return MISSED
        if self._draws:
            arrays += [g.take(count, device).array for g, count, device in self._draws]
        outs = [self._empty(shape, dtype) for shape, dtype in self._made]
        if not self._run(*outs, *arrays):
            return self._missed()
        if self._structure is None:
            place, facts = self._returned[0]
            return facts if place is None else Tensor(outs[place], *facts)
        leaves = [
            facts if place is None else Tensor(outs[place], *facts)
            for place, facts in self._returned
        ]
        return tree_unflatten(self._structure, leaves)

    def _missed(self) -> Any:
        """Give back the random streams that were taken for nothing."""
        for generator, count, device in self._draws:
            generator.take(-count, device)
        return MISSED


class _State:
    """What the cells held.

    Attributes
    ----------
    watches
        Objects with an attribute and what it is: the program itself looks at these.
    items, slots, options, numbers
        What is in dicts that count their changes: tensors and other things that optimizers
        remember, options that are constants, and those that are not, as learning rates.
    """

    def __init__(self, fill: Callable[[Any, float], None]) -> None:
        self._fill = fill
        self.watches: list[tuple[Any, str, Any]] = []
        self.items: list[tuple[dict[Any, Any], Any, Any]] = []
        self.slots: list[tuple[dict[str, Any], list[Any], list[str]]] = []
        self.options: list[tuple[dict[str, Any], dict[str, Any]]] = []
        self.numbers: list[tuple[NumberCell, Any]] = []

    def holds(self) -> bool:
        """Tell whether the dicts are as they were; a learning rate that changed is taken over."""
        for owner, key, value in self.items:
            if owner[key] is not value:
                return False
        for slots, values, names in self.slots:
            for name, value in zip(names, values, strict=True):
                if slots[name] is not value and slots[name] != value:
                    return False
        if any(fixed_options(group) != options for group, options in self.options):
            return False
        for cell, array in self.numbers:
            number = cell.number()
            if number.__class__ is not float:
                return False
            self._fill(array, number)
        return True


def make_ready(entry: Any, call: Any, args: Sequence[Any], kwargs: Any, state: Any) -> Ready | None:
    """Return the short way for a call that has just gone the long way, if there is one."""
    native, schedule = entry.program.native, entry.program.schedule
    if (
        not isinstance(native, Holding)
        or kwargs
        or entry.gradients
        or entry.plain
        or (modes.grad and any(entry.open))
        or any(t.__class__ is not Tensor for t in args)
        or any(t.edge is not None for t in args)
    ):
        return None
    first = len(call.tensors)
    inputs: dict[int, int] = {}  # cells by number, with the buffer of what they hold
    for number, t in enumerate(call.held):
        if t is not None and call.shared[number] == number:
            inputs[number] = schedule.inputs[first + len(inputs)]
    outputs = [schedule.outputs[i] for i, _ in schedule.returned]
    written: dict[int, int] = {}
    for number, place in entry.written:
        buffer = None if place is None else outputs[place]
        first_cell = call.shared[number]
        if buffer is None or schedule.donors.get(buffer) != inputs.get(first_cell):
            return None
        written[number] = buffer
    if any(place is not None and outputs[place] in written.values() for place, _ in entry.returned):
        return None
    arrays: dict[int, Any] = {}
    guards: list[tuple[Any, int]] = []
    found = _State(native.fill)
    alike: dict[int, list[int]] = {}
    for number, t in enumerate(call.held):
        alike.setdefault(call.shared[number] if t is not None else number, []).append(number)
    for first_cell, numbers in alike.items():
        cells = [call.cells[number] for number in numbers]
        moves = [number in written for number in numbers]
        if any(moves) != all(moves):
            return None
        if not _note(found, native.copied, cells, moves[0], arrays, guards, inputs.get(first_cell)):
            return None
    for number, buffer in written.items():
        arrays[buffer] = arrays[inputs[call.shared[number]]]
    _note_options(found, state)
    fresh = [b for b in schedule.outputs if b not in arrays]
    entry.fresh = {i: fresh.index(b) for i, b in enumerate(outputs) if b in fresh}
    return Ready(entry, call, native.hold(arrays, guards, found.watches), found)


def _note(
    found: _State,
    copied: Callable[[Any], Any],
    cells: Sequence[Cell],
    is_written: bool,
    arrays: dict[int, Any],
    guards: list[tuple[Any, int]],
    buffer: int | None,
) -> bool:
    """Note what cells hold; what is written moves to memory that nobody else knows."""
    first = cells[0]
    if isinstance(first, NumberCell):
        array = copied(first.read().array)
        found.numbers.append((first, array))
        if buffer is not None:
            arrays[buffer] = array
        return not is_written and len(cells) == 1
    value = first.read()
    if value is not None and is_written:
        array = copied(value.array)
        value = Tensor(array, value.aval, value.device)
        # A parameter holds its array, and so does `_State`; elsewhere each holds the tensor.
        if isinstance(first, ValueCell):
            guards.append((array, 2))
            if len(cells) > 1:
                return False
        else:
            guards += [(array, 1), (value, 2 * len(cells))]
        for cell in cells:
            cell.write(value)
    if value is not None and buffer is not None:
        arrays[buffer] = value.array
    for cell in cells:
        if isinstance(cell, ValueCell):
            param = cell.param
            found.watches += [(param, "array", param.array), (param, "edge", param.edge)]
        elif isinstance(cell, GradCell):
            found.watches.append((cell.param, "grad", value))
        elif isinstance(cell, ItemCell | AttributeCell):
            owner, key = cell.place
            found.items.append((owner, key, value))
        else:
            return False
    return True


def _note_options(found: _State, state: Any) -> None:
    """Note the options of optimizers, and what they remember beside tensors."""
    if hasattr(state, "param_groups"):
        for group in state.param_groups:
            found.options.append((group, fixed_options(group)))
            for param in group["params"]:
                slots = state.state[param]
                plain = [name for name, value in slots.items() if not isinstance(value, Tensor)]
                if plain:
                    found.slots.append((slots, [slots[name] for name in plain], plain))
    elif isinstance(state, tuple | list):
        for part in state:  # pyright: ignore[reportUnknownVariableType]
            _note_options(found, part)
    elif isinstance(state, dict):
        for part in state.values():  # pyright: ignore[reportUnknownVariableType]
            _note_options(found, part)
