"""Going through the tape: backward with cotangents, forward with tangents, never recursing."""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from isograd.core.config import modes
from isograd.core.errors import AutodiffError, DeviceMismatchError, DTypeError, ShapeError
from isograd.runtime.batched import check_inside, has_history
from isograd.runtime.level import Level, current_level
from isograd.runtime.library import library
from isograd.runtime.tape import AliasNode, Edge, LeafNode, Node
from isograd.runtime.tensor import Tensor

__all__ = [
    "alias",
    "backward",
    "follows_outer",
    "pull",
    "push",
    "pushforward_by_transposing_twice",
    "reachable",
]


def alias(t: Tensor) -> Tensor:
    """Return ``t`` under a fresh name that derivatives can be taken with respect to.

    Inside `isograd.vmap` a name of that level: history from outside is that of the value.
    """
    level = current_level()
    if level is not None:
        t = level.lift(t)
    node = LeafNode() if t.edge is None else AliasNode(t.edge)
    return Tensor(t.array, t.aval, t.device, (node, 0))


def reachable(edges: Iterable[Edge | None], stop: frozenset[Node] = frozenset()) -> list[Node]:
    """Return the nodes behind ``edges`` in the order they were made, not beyond ``stop``."""
    seen: set[Node] = set()
    todo = [edge[0] for edge in edges if edge is not None]
    while todo:
        node = todo.pop()
        if node in seen:
            continue
        seen.add(node)
        if node not in stop:
            todo.extend([parent[0] for parent in node.parents if parent is not None])
    return sorted(seen, key=_number)


def _number(node: Node) -> int:
    return node.number


def follows_outer(nodes: Iterable[Node], wanted: frozenset[Node]) -> bool:
    """Tell whether the tape also leads to something that an outer derivative follows."""
    return any(
        bool(node.parents) or node in modes.followed
        if node in wanted
        else isinstance(node, LeafNode)
        for node in nodes
    )


def pull(
    outputs: Sequence[tuple[Edge | None, Tensor]],
    *,
    only: set[Node] | None = None,
    stop: frozenset[Node] = frozenset(),
    record: bool = False,
    release: bool = False,
) -> dict[Node, list[Tensor | None]]:
    """Send cotangents from outputs back to leaves.

    Parameters
    ----------
    outputs
        Pairs of an edge and the cotangent that enters there.
    only
        Nodes worth visiting; None for all.
    stop
        Nodes to collect at, beside leaves.
    record
        Whether the computation of the cotangents is itself recorded.
    release
        Whether nodes forget what they saved.

    Returns
    -------
    dict
        For each leaf or stop that was reached, the cotangents of its outputs.
    """
    arrived: dict[Node, list[Tensor | None]] = {}
    pending: dict[Node, list[Tensor | None]] = {}
    heap: list[tuple[int, Node]] = []
    add = library.add

    def send(edge: Edge, ct: Tensor) -> None:
        node, index = edge
        slots = pending.get(node)
        if slots is None:
            if only is not None and node not in only:
                return
            slots = pending[node] = [None] * node.outputs
            heapq.heappush(heap, (-node.number, node))
        before = slots[index]
        slots[index] = ct if before is None else add(before, ct)

    grad_before, modes.grad = modes.grad, record
    try:
        for edge, ct in outputs:
            if edge is not None:
                send(edge, ct)
        while heap:
            node = heapq.heappop(heap)[1]
            cotangents = pending.pop(node)
            if node in stop or node.__class__ is LeafNode:
                arrived[node] = cotangents
                continue
            for edge, ct in zip(node.parents, node.pullback(cotangents), strict=True):
                if edge is not None and ct is not None:
                    send(edge, ct)
            if release:
                node.release()
    finally:
        modes.grad = grad_before
    return arrived


def push(
    outputs: Sequence[Edge | None], tangents: dict[Node, list[Tensor | None]], *, record: bool
) -> list[Tensor | None]:
    """Send tangents from the nodes in ``tangents`` forward along the tape to ``outputs``."""
    known = dict(tangents)
    grad_before, modes.grad = modes.grad, record
    try:
        for node in reachable(outputs, frozenset(known)):
            if node in known:
                continue
            ts = [
                None if e is None or e[0] not in known else known[e[0]][e[1]] for e in node.parents
            ]
            if any(t is not None for t in ts):
                known[node] = list(node.pushforward(ts))
    finally:
        modes.grad = grad_before
    return [
        None if edge is None or edge[0] not in known else known[edge[0]][edge[1]]
        for edge in outputs
    ]


def pushforward_by_transposing_twice(
    node: Node, tangents: Sequence[Tensor | None]
) -> list[Tensor | None]:
    """Return a node's output tangents from its pullback alone.

    The pullback is linear in the cotangent, so its transpose is the map from tangents to output
    tangents.
    """
    record = modes.grad
    grad_before, modes.grad = modes.grad, True
    try:
        probes = [
            alias(library.zeros(aval.shape, dtype=aval.dtype, device=device))
            for aval, device in node.output_avals()
        ]
        pulled = node.pullback(probes)
    finally:
        modes.grad = grad_before
    stop = frozenset(probe.edge[0] for probe in probes if probe.edge is not None)
    pairs = [
        (p.edge, t)
        for p, t in zip(pulled, tangents, strict=True)
        if p is not None and t is not None
    ]
    only = _leading_to(reachable([edge for edge, _ in pairs], stop), stop)
    arrived = pull(pairs, only=only, stop=stop, record=record)
    return [arrived.get(probe.edge[0], [None])[0] for probe in probes if probe.edge is not None]


def _leading_to(nodes: Sequence[Node], wanted: frozenset[Node]) -> set[Node]:
    """Return those of ``nodes`` (in order of creation) through which a wanted node is reached."""
    useful = set(wanted)
    for node in nodes:
        if node not in useful and any(e is not None and e[0] in useful for e in node.parents):
            useful.add(node)
    return useful


def pull_to(
    outputs: Sequence[tuple[Edge | None, Tensor]],
    wanted: Sequence[Edge],
    *,
    record: bool | None = None,
    levels: Sequence[Level] = (),
) -> list[Tensor | None]:
    """Return the cotangents that arrive at ``wanted``, recorded if an outer derivative needs it.

    ``levels`` are those of `isograd.vmap` that were entered since the tape was recorded.
    """
    stop = frozenset(edge[0] for edge in wanted)
    nodes = reachable([edge for edge, _ in outputs], stop)
    if record is None:
        record = any(has_history(ct) for _, ct in outputs) or follows_outer(nodes, stop)
    before = [(level, level.grad) for level in levels]
    try:
        for level in levels:
            level.grad = level.grad and record
        arrived = pull(outputs, only=_leading_to(nodes, stop), stop=stop, record=record)
    finally:
        for level, enabled in before:
            level.grad = enabled
    return [arrived[node][index] if node in arrived else None for node, index in wanted]


def backward(root: Tensor, gradient: Any, *, retain_graph: bool, create_graph: bool) -> None:
    """Do what ``Tensor.backward`` promises."""
    if root.edge is None:
        raise AutodiffError(
            "backward: this tensor depends on nothing that requires a gradient; create a leaf with "
            "requires_grad=True, and compute outside no_grad()"
        )
    seed = _seed(root, gradient)
    leaves = pull(
        [(root.edge, seed)], record=create_graph, release=not (retain_graph or create_graph)
    )
    for node, cotangents in leaves.items():
        leaf = node.tensor() if isinstance(node, LeafNode) else None
        ct = cotangents[0]
        if leaf is not None and ct is not None:
            _check_leaf(leaf, ct, node)
            leaf.grad = (
                ct if leaf.grad is None else _recorded(create_graph, library.add, leaf.grad, ct)
            )


def _check_leaf(leaf: Tensor, ct: Tensor, node: Node) -> None:
    """Refuse to leave the gradients of many examples on a tensor that is outside of `vmap`."""
    level = current_level()
    if level is not None and node.number < level.began:
        check_inside(
            ct,
            "backward",
            f"the gradient of a leaf of shape {leaf.shape}",
            "use isograd.grad with respect to an argument, and return what it gives",
        )


def _recorded(record: bool, fn: Callable[..., Tensor], *args: Tensor) -> Tensor:
    before, modes.grad = modes.grad, record
    try:
        return fn(*args)
    finally:
        modes.grad = before


def _seed(root: Tensor, gradient: Any) -> Tensor:
    if gradient is None:
        if root.aval.dtype.kind == "c":
            raise AutodiffError(
                f"backward: the tensor is {root.aval}, but a gradient is that of a real loss; take "
                "isograd.real, imag or abs of it, or pass the cotangent: backward(gradient)"
            )
        if root.aval.shape != () and root.size != 1:
            raise AutodiffError(
                f"backward: the tensor has shape {root.shape}, so it has no single gradient; "
                "reduce it to a scalar "
                "first, for example with .sum(), or pass the cotangent: backward(gradient)"
            )
        return unit_seed(root)
    return check_cotangent("backward", root, gradient)


def unit_seed(root: Tensor) -> Tensor:
    """Return the cotangent of a result of one element: 1."""
    one: Tensor = library.constant(1, root.dtype, root.device)
    return one if root.aval.shape == () else library.reshape(one, root.aval.shape)


def check_cotangent(
    function: str, out: Tensor, ct: Any, what: str = "cotangent", partner: str = "output"
) -> Tensor:
    """Turn a user's cotangent (or tangent) into a tensor that fits ``out``, or raise."""
    seed: Tensor = (
        ct if isinstance(ct, Tensor) else library.tensor(ct, dtype=out.dtype, device=out.device)
    )
    if seed.shape != out.shape:
        raise ShapeError(
            f"{function}: the {what} has shape {seed.shape}, the {partner} {out.shape}; pass one "
            f"of the {partner}'s shape"
        )
    if seed.dtype != out.dtype:
        raise DTypeError(
            f"{function}: the {what} has dtype {seed.dtype}, the {partner} {out.dtype}; convert it "
            "with .astype"
        )
    if seed.device is not out.device:
        raise DeviceMismatchError(
            f"{function}: the {what} is on {seed.device}, the {partner} on {out.device}; move it "
            "with .to"
        )
    return seed
