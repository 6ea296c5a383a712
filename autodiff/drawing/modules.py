"""Which module made which node: the boxes of a picture, from the log of the modules at work."""

from __future__ import annotations

import re
from bisect import bisect_right
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from threading import get_ident
from typing import Any

import numpy as np

from autodiff.core.clock import latest
from autodiff.core.tensor import Tensor
from autodiff.drawing.nodes import Node
from autodiff.drawing.text import LONGEST


@dataclass(frozen=True, eq=False)
class Box:
    """A box around nodes.

    Attributes:
        key: identifies the box in its picture.
        path: the attribute path of the module whose call it is, from the outermost one around it.
        head: the module's class and how it was made, or what else the box is.
        parent: the box around it.
        is_module: whether it is a call of a module.
    """

    key: str
    path: str
    head: str
    parent: Box | None = None
    is_module: bool = True

    @property
    def title(self) -> str:
        """What is written on it."""
        return titled(self.path, self.head)

    @property
    def chain(self) -> tuple[Box, ...]:
        """The boxes around it from the outermost, and itself."""
        return (*(self.parent.chain if self.parent else ()), self)


def titled(path: str, head: str) -> str:
    """Write a path and what is there, and leave out the last of its options where that is too long.

    Example:
        >>> titled("layers.0", "Linear(64, 32)"), titled("", "MLP(64 → 32)")
        ('layers.0: Linear(64, 32)', 'MLP(64 → 32)')
        >>> titled("features.encoder.projection", "Linear(64, 32, bias=False, dtype=float64)")
        'features.encoder.projection: Linear(64, 32, …)'
    """
    before = f"{path}: " if path else ""
    kind, bracket, options = head.partition("(")
    ends = [separator.end() for separator in re.finditer(", | → ", options)]
    while len(before + head) > LONGEST and bracket and options != "…)":
        options = f"{options[: ends.pop() if ends else 0]}…)"
        head = f"{kind}({options}"
    return before + head


def common(boxes: Iterable[Box | None]) -> Box | None:
    """Give the innermost box that has all of these in it."""
    chains = [box.chain if box else () for box in boxes]
    shared = None
    for level in zip(*chains):
        if any(box is not level[0] for box in level):
            break
        shared = level[0]
    return shared


def boxes_of(nodes: Sequence[Node], origins: Sequence[tuple[int, int]] = ()) -> dict[str, Box]:
    """Give the innermost box of each node that is in one.

    A call is in the box of the module that was at work when it was made, an input or a constant Tensor likewise. A
    parameter or a number is where all its users are, and so is an array, unless it is what flows into the box. A call
    of the backward pass is in a box of its own, named after that of the call whose derivative it computes; to find it,
    there are the ``origins`` of `Backward`.
    """
    stamps = {node.key: _stamp(node, origins) for node in nodes if _is_stamped(node)}
    nesting = _nesting_of_the_graph(nodes, stamps)
    boxes = {}
    of_calls = _boxes(nesting)
    twins: dict[Box, Box] = {}
    for node in nodes:
        position = nesting.innermost.get(stamps.get(node.key, 0))
        if position is not None:
            boxes[node.key] = _twin(of_calls[position], twins) if node.kind == "gradient" else of_calls[position]
    if boxes:
        boxes |= _of_the_others(nodes, boxes)
    return boxes


def _is_stamped(node: Node) -> bool:
    """Whether the time at which a node was made says where it belongs: parameters and arrays are older than that."""
    return node.kind in ("call", "gradient") or type(node.value) is Tensor


def _stamp(node: Node, origins: Sequence[tuple[int, int]]) -> int:
    """Say when a node was made; of a call of the backward pass, when the call was made that it differentiates."""
    order: int = node.value._age
    if node.kind != "gradient" or not origins:
        return order
    after = bisect_right(origins, -order, key=lambda origin: -origin[0])
    return origins[min(after, len(origins) - 1)][1]


@dataclass(frozen=True)
class _ModuleCall:
    """A call of a module that is still alive, between two stamps of a clock that counts down."""

    owner: Any
    start: int
    end: int


@dataclass(frozen=True)
class _Nesting:
    """Calls of modules in one thread, each with the position of the one around it, and the innermost for each stamp."""

    calls: Sequence[_ModuleCall]
    parents: Sequence[int | None]
    innermost: dict[int, int]

    def around(self, position: int | None) -> list[int]:
        """List a call and those around it, from the inside out."""
        positions = []
        while position is not None:
            positions.append(position)
            position = self.parents[position]
        return positions


def _nesting_of_the_graph(nodes: Sequence[Node], stamps: dict[str, int]) -> _Nesting:
    """Give the calls of modules that the stamps lie in.

    Those of several threads may overlap in time. It is those of the thread that used the graph's own parameters.
    """
    ordered = sorted(set(stamps.values()), reverse=True)
    threads: dict[int, list[_ModuleCall]] = defaultdict(list)
    for span in latest():
        owner = span.owner()
        if hasattr(owner, "named_modules") and span.end < ordered[0] and span.start > ordered[-1]:
            threads[span.thread].append(_ModuleCall(owner, span.start, span.end))
    nestings = {thread: _nest(calls, ordered) for thread, calls in threads.items()}
    if len(nestings) < 2:
        return next(iter(nestings.values()), _Nesting([], [], {}))
    values = {node.key: node.value for node in nodes}

    def fit(thread: int) -> tuple[int, bool, int]:
        nesting = nestings[thread]
        uses = 0
        for node in nodes:
            position = nesting.innermost.get(stamps.get(node.key, 0))
            if position is not None:
                own = {id(value) for value in vars(nesting.calls[position].owner).values()}
                uses += any(id(values[operand]) in own for operand in node.operands)
        return uses, thread == get_ident(), len(nesting.innermost)

    return nestings[max(nestings, key=fit)]


def _nest(calls: list[_ModuleCall], stamps: Sequence[int]) -> _Nesting:
    """Find out which call of one thread is in which, and the stamps in which, in one sweep through time."""
    calls = sorted(calls, key=lambda call: call.start, reverse=True)
    parents: list[int | None] = []
    innermost: dict[int, int] = {}
    at_work: list[int] = []

    def drop_ended(stamp: int) -> None:
        while at_work and calls[at_work[-1]].end > stamp:
            at_work.pop()

    for stamp in stamps:
        while len(parents) < len(calls) and calls[len(parents)].start > stamp:
            drop_ended(calls[len(parents)].start)
            parents.append(at_work[-1] if at_work else None)
            at_work.append(len(parents) - 1)
        drop_ended(stamp)
        if at_work:
            innermost[stamp] = at_work[-1]
    return _Nesting(calls, parents, innermost)


def _boxes(nesting: _Nesting) -> dict[int, Box]:
    """Make the box of each call that something lies in, by its position."""
    positions = sorted({position for inner in set(nesting.innermost.values()) for position in nesting.around(inner)})
    again: dict[int, list[int]] = defaultdict(list)
    for position in positions:
        again[id(nesting.calls[position].owner)].append(position)
    paths: dict[int, dict[int, str]] = {}
    boxes: dict[int, Box] = {}
    for position in positions:  # those around others come first
        owner = nesting.calls[position].owner
        root = nesting.calls[nesting.around(position)[-1]].owner
        if id(root) not in paths:
            paths[id(root)] = {id(module): path for path, module in root.named_modules()}
        path = paths[id(root)].get(id(owner), "")
        calls = again[id(owner)]
        if len(calls) > 1:
            path = f"{path} call {calls.index(position) + 1} of {len(calls)}".lstrip()
        parent = nesting.parents[position]
        boxes[position] = Box(f"m{position}", path, _head(owner), None if parent is None else boxes[parent])
    return boxes


def _head(owner: Any) -> str:
    """Give the beginning of a module's text: its class and how it was made."""
    text = repr(owner)
    if text.startswith("<"):
        return type(owner).__name__
    head, more, _ = text.partition("\n")[0].partition("): ")
    return f"{head})" if more else head


def _twin(box: Box, twins: dict[Box, Box]) -> Box:
    """Give the box of the calls that differentiate those in a box."""
    if box not in twins:
        parent = None if box.parent is None else _twin(box.parent, twins)
        path, head = ("", f"backward of {box.head}") if not box.path else (f"backward of {box.path}", box.head)
        twins[box] = Box(f"{box.key}b", path, head, parent)
    return twins[box]


def _of_the_others(nodes: Sequence[Node], boxes: dict[str, Box]) -> dict[str, Box]:
    """Give the boxes of the nodes that stand where their users are."""
    by_key = {node.key: node for node in nodes}
    users: dict[str, list[Node]] = defaultdict(list)
    fed: set[Box] = set()  # the boxes into which something flows
    for node in nodes:
        around = boxes[node.key].chain if node.key in boxes else ()
        for operand in node.operands:
            users[operand].append(node)
            if around and _is_stamped(by_key[operand]):
                inside = boxes[operand].chain if operand in boxes else ()
                fed.update(box for box in around if box not in inside)
    others = {}
    for node in nodes:
        if _is_stamped(node):
            continue
        # What the forward pass uses stands there, also where the backward pass uses it again.
        forward = [user for user in users[node.key] if user.kind != "gradient"]
        box = common(boxes.get(user.key) for user in forward or users[node.key])
        if not isinstance(node.value, Tensor) and np.shape(node.value):
            while box is not None and box not in fed:
                box = box.parent
        if box is not None:
            others[node.key] = box
    return others
