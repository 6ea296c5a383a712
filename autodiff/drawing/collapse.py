"""What of a graph is drawn: modules, repetitions and the middle of what is too long become single items."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, partial
from typing import Any, Literal, TypeGuard

from autodiff.drawing.modules import Box, common, titled
from autodiff.drawing.nodes import LEAVES, Node
from autodiff.drawing.text import function_name, shape

MOST_ITEMS = 250  # of a picture that Graphviz lays out in seconds and that can still be looked at
FEW_ITEMS = 80  # that are looked at without any being drawn as one
FEW_BESIDE = 20  # items side by side, likewise
FEWEST_FOLDED = 8  # calls in a chain that are put into a box
FEWEST = 3  # repetitions that are folded
LONGEST_PERIOD = 8  # of a repetition, in items
CHAIN_ENDS = 3  # items that stay on either side of the middle of a chain
GRAPH_ENDS = 25  # calls that stay on either side of the middle of a graph
SIBLINGS = 6  # items of a kind, from the same sources to the same users, that are drawn one by one


GroupKind = Literal["module", "call", "gradient", "left out"]


@dataclass(frozen=True)
class Group:
    """Several nodes drawn as one item.

    Attributes:
        key: identifies the group in its picture.
        kind: a call of a module, calls that are repeated, or what is left out.
        path: the attribute path of the module whose call it is.
        head: what it is.
        repetitions: its nodes; where several repetitions are drawn as one, those of each.
        operands: keys of the nodes outside that the first of them takes.
        results: the calls of the last that are used outside, and the outputs.
    """

    key: str
    kind: GroupKind
    path: str
    head: str
    repetitions: tuple[tuple[Node, ...], ...]
    operands: tuple[str, ...]
    results: tuple[Node, ...]

    @property
    def title(self) -> str:
        """What it is called."""
        return titled(self.path, self.head)

    @property
    def nodes(self) -> list[Node]:
        """All nodes in it."""
        return [node for repetition in self.repetitions for node in repetition]

    @property
    def is_output(self) -> bool:
        """Whether a Tensor is in it that the graph was asked for."""
        return any(node.is_output for node in self.nodes)


Item = Node | Group


@dataclass(frozen=True)
class View:
    """A graph as it is drawn: each node is an item, or in one.

    Attributes:
        items: nodes and groups, in order.
        boxes: the innermost box of each item that is in one, by the item's key.
        note: what was left out, for the reader.
    """

    items: Sequence[Item]
    boxes: Mapping[str, Box]
    note: str = ""

    @cached_property
    def nodes(self) -> dict[str, Node]:
        """Every node by its key."""
        return {node.key: node for item in self.items for node in nodes_in(item)}

    @cached_property
    def place(self) -> dict[str, str]:
        """The key of the item that each node is, or is in."""
        return {node.key: item.key for item in self.items for node in nodes_in(item)}

    @cached_property
    def users(self) -> dict[str, set[str]]:
        """The keys of the nodes that use each node."""
        users: dict[str, set[str]] = defaultdict(set)
        for node in self.nodes.values():
            for operand in node.operands:
                users[operand].add(node.key)
        return users

    @cached_property
    def item_users(self) -> dict[str, set[str]]:
        """The keys of the items that use each item."""
        users: dict[str, set[str]] = defaultdict(set)
        for item in self.items:
            for operand in item.operands:
                users[self.place[operand]].add(item.key)
        return users


def nodes_in(item: Item) -> Sequence[Node]:
    """List the nodes of an item."""
    return [item] if isinstance(item, Node) else item.nodes


def is_leaf(item: Item) -> TypeGuard[Node]:
    """Whether an item is an array that no call made."""
    return isinstance(item, Node) and item.kind in LEAVES


def arrange(
    nodes: Sequence[Node],
    boxes: Mapping[str, Box],
    depth: int | None = None,
    fold: bool = True,
    limit: int | None = MOST_ITEMS,
) -> View:
    """Decide what is drawn as one.

    Args:
        nodes: the graph.
        boxes: the box of each node that is in one.
        depth: how many levels of boxes are drawn; a module below becomes one item. By default all, if they fit.
        fold: whether repetitions in such a picture are drawn once.
        limit: how many items are drawn before it is shortened, or None for all.
    """
    most = math.inf if limit is None else limit
    full = view = View(nodes, boxes)
    means = []
    if depth is not None:
        view = _simplified(full, depth, fold)
    elif len(nodes) > most:
        deepest = max((len(_modules(box)) for box in boxes.values()), default=0)
        for level in range(max(deepest - 1, 0), -1, -1):
            view = _simplified(full, level, fold)
            if len(view.items) <= most:
                break
        else:
            view = _at_depth(full, 0)
        means += [f"modules are single nodes, as with depth={level}"] * (deepest > 0)
        means += ["repetitions are folded"] * any(not box.is_module for box in view.boxes.values())
    for leave_out, what in (
        (_without_middles, "the middle of long chains is left out"),
        (_without_siblings, "of what is side by side, some is left out"),
        (partial(_without_middle, ends=int(min(GRAPH_ENDS, most // 10))), "the middle of the graph is left out"),
        (_without_siblings, ""),
    ):
        if len(view.items) > most:
            before, view = len(view.items), leave_out(view)
            means += [what] * (what != "" and len(view.items) < before)
    if not means:
        return view
    return replace(view, note=f"{len(nodes):,} nodes are too many for one picture: {'; '.join(means)}")


def _simplified(view: View, depth: int, fold: bool) -> View:
    view = _at_depth(view, depth)
    return _folded(view) if fold else view


def _modules(box: Box) -> list[Box]:
    return [around for around in box.chain if around.is_module]


# Replacing items by groups


def _group(view: View, key: str, kind: GroupKind, path: str, head: str, repetitions: Sequence[Sequence[Node]]) -> Group:
    first = {node.key for node in repetitions[0]}
    last = {node.key for node in repetitions[-1]}
    return Group(
        key=key,
        kind=kind,
        path=path,
        head=head,
        repetitions=tuple(map(tuple, repetitions)),
        operands=tuple(dict.fromkeys(x for node in repetitions[0] for x in node.operands if x not in first)),
        results=tuple(
            node
            for node in repetitions[-1]
            if node.is_output or (node.kind not in LEAVES and view.users[node.key] - last)
        ),
    )


def _replaced(view: View, groups: Iterable[tuple[Group, Box | None]]) -> View:
    """Put groups in the places of the items that they are made of: of the first call, so that the order leads on."""
    boxes = dict(view.boxes)
    group_of: dict[str, Group] = {}
    for group, box in groups:
        group_of.update((view.place[node.key], group) for node in group.nodes)
        if box is not None:
            boxes[group.key] = box
    items: dict[str, Item] = {}
    places: dict[str, tuple[bool, int]] = {}
    for index, old in enumerate(view.items):
        item = group_of.get(old.key, old)
        items[item.key] = item
        places[item.key] = min(places.get(item.key, (True, index)), (is_leaf(old), index))
    ordered = sorted(items, key=lambda key: places[key][1])
    return View([items[key] for key in ordered], {key: boxes[key] for key in ordered if key in boxes})


def _at_depth(view: View, depth: int) -> View:
    """Make one item of each call of a module that is below so many levels of boxes."""
    if not view.boxes:
        return view
    inside: dict[Box, list[Node]] = defaultdict(list)
    for key, node in view.nodes.items():
        modules = _modules(view.boxes[key]) if key in view.boxes else []
        if len(modules) > depth:
            inside[modules[depth]].append(node)
    return _replaced(
        view, ((_group(view, box.key, "module", box.path, box.head, [n]), box.parent) for box, n in inside.items())
    )


def with_runs(nodes: Sequence[Node], boxes: Mapping[str, Box]) -> dict[str, Box]:
    """Put what is repeated in a chain, or is side by side in numbers, into boxes, which a reader opens and closes.

    Boxes of very many have parts, which are boxes too. A graph that can be looked at as it is has none of these.

    Args:
        nodes: the graph.
        boxes: the innermost box of each node that is in one.
    """
    if len(nodes) <= FEW_ITEMS:
        return dict(boxes)
    runs = _Runs(boxes)
    full = View(nodes, boxes)
    for depth in range(max((len(box.chain) for box in boxes.values()), default=0) + 1):
        runs.find(_at_depth(full, depth), depth)
    return {key: runs.moved(box) for key, box in runs.inner.items()}


class _Runs:
    """Boxes around runs, which are found level by level: at each, what is in a deeper module is one item.

    Attributes:
        inner: the innermost box of each node that is in one.
    """

    def __init__(self, boxes: Mapping[str, Box]) -> None:
        self.boxes = boxes
        self.inner = dict(boxes)
        self._around: dict[Box, Box] = {}  # what a box is in, where that is not its parent
        self._moved: dict[Box, Box] = {}
        self._count = 0

    def find(self, view: View, depth: int) -> None:
        """Find the runs of items that are in so many boxes."""
        modules = {box.key: box for box in self.boxes.values() for box in box.chain[depth : depth + 1]}

        def parts(unit: Unit) -> Piece:
            return tuple(modules[item.key] if isinstance(item, Group) else item for item in unit)

        def outer_of(unit: Unit) -> Box | None:
            return view.boxes.get(unit[0].key)

        for chain in _chains(view, with_inputs=True, past_leaves=True):
            outer = outer_of(chain[0])
            if len(outer.chain if outer else ()) != depth:
                continue
            pieces: list[Piece] = []
            end = 0
            for start, period, times in _repetitions(*_looks(view, chain)):
                units = chain[start : start + period * times]
                pieces += map(parts, chain[end:start])
                if len(units) < FEWEST_FOLDED:
                    pieces += map(parts, units)
                else:
                    what = ", ".join(_call_name(unit[0]) for unit in units[:period][:3]) + ", …" * (period > 3)
                    of = [parts(sum(units[k : k + period], ())) for k in range(0, len(units), period)]
                    pieces.append((self._box(f"{what} × {times:,}", outer, of),))
                end = start + len(units)
            pieces += map(parts, chain[end:])
            middle = pieces[CHAIN_ENDS:-CHAIN_ENDS]
            if len(middle) > FEW_ITEMS:
                self._box(f"{len(middle):,} in a chain", outer, middle)
        for (kind, *_), units in (*_sibling_calls(view).items(), *_sibling_leaves(view).items()):
            outer = outer_of(units[0])
            is_here = len(outer.chain if outer else ()) == depth and all(outer_of(unit) is outer for unit in units)
            if len(units) > FEW_BESIDE and is_here:
                names = {_call_name(unit[0]) if kind not in LEAVES else kind for unit in units}
                what = names.pop() if len(names) == 1 else kind
                self._box(f"{what} × {len(units):,}", outer, [parts(unit) for unit in units])

    def _box(self, title: str, outer: Box | None, pieces: Sequence[Piece]) -> Box:
        """Make a box of pieces that are in an outer one."""
        whole = self._new(title, outer)
        calls = sum(isinstance(one, Box) or not is_leaf(one) for piece in pieces for one in piece)
        size = len(pieces) if max(calls, len(pieces)) <= FEW_ITEMS else math.isqrt(len(pieces))
        for first in range(0, len(pieces), size):
            part = pieces[first : first + size]
            numbers = f"{first + 1:,} – {first + len(part):,}"
            box = whole if size == len(pieces) else self._new(numbers, whole)
            for one in (one for piece in part for one in piece):
                if isinstance(one, Box):
                    self._around[one] = box
                elif self.boxes.get(one.key) is outer:
                    self.inner[one.key] = box
        return whole

    def _new(self, title: str, parent: Box | None) -> Box:
        self._count += 1
        return Box(f"r{self._count}", "", title, parent, is_module=False)

    def moved(self, box: Box) -> Box:
        """Give a box as it is within those around runs."""
        if box not in self._moved:
            parent = self._around.get(box, box.parent)
            self._moved[box] = replace(box, parent=self.moved(parent) if parent else None)
        return self._moved[box]


# Repetitions and chains

Unit = tuple[Item, ...]  # a call or group, and the leaves that it alone uses
Piece = tuple[Node | Box, ...]  # of a run: nodes and boxes


def _folded(view: View) -> View:
    """Draw once what is repeated in a chain: units that look alike, or runs of several."""
    groups: list[tuple[Group, Box | None]] = []
    for chain in _chains(view, with_inputs=False):
        for start, period, times in _repetitions(*_looks(view, chain)):
            outer = view.boxes.get(chain[start][0].key)
            box = Box(f"r{len(groups)}", "", f"× {times:,}", outer, is_module=False)
            for first in range(start, start + period):
                units = chain[first : first + period * times : period]
                groups.append((_repeated(view, f"g{len(groups)}", units), box))
    return _replaced(view, groups)


def _looks(view: View, chain: Sequence[Unit]) -> tuple[list[int], list[bool]]:
    """Number the units of a chain, those that look alike the same, and say which of them bear parameters."""
    looks: dict[Any, int] = {}
    signatures = [looks.setdefault(_signature(view, unit), len(looks)) for unit in chain]
    return signatures, [any(node.kind == "parameter" for item in unit for node in nodes_in(item)) for unit in chain]


def _repetitions(signatures: Sequence[int], bears: Sequence[bool]) -> list[tuple[int, int, int]]:
    """Find runs of repetitions: where each begins, its period, and how many there are.

    Of the places where a run may begin, it is one that bears parameters, so that an activation comes after its layer.
    """
    repetitions = []
    start = 0
    while start < len(signatures):
        period, times = _repetition(signatures, start)
        if times < FEWEST:
            start += 1
            continue
        for later in range(start, start + period):
            if bears[later] and _repetition(signatures, later) == (period, times):
                start = later
                break
        repetitions.append((start, period, times))
        start += period * times
    return repetitions


def _repetition(signatures: Sequence[int], start: int) -> tuple[int, int]:
    """Give the period of the repetition that begins at a place and covers most, and how often it comes."""
    best = 1, 1
    for period in range(1, LONGEST_PERIOD + 1):
        end = start + period
        while end < len(signatures) and signatures[end] == signatures[end - period]:
            end += 1
        times = (end - start) // period
        if times >= FEWEST and period * times > best[0] * best[1]:
            best = period, times
    return best


def _repeated(view: View, key: str, units: Sequence[Unit]) -> Group:
    repetitions = [[node for item in unit for node in nodes_in(item)] for unit in units]
    first, last = units[0][0], units[-1][0]
    if isinstance(first, Group) and isinstance(last, Group):
        path = f"{first.path} … {last.path}" if first.path else ""
        return _group(view, key, first.kind, path, first.head, repetitions)
    return _group(view, key, "gradient" if first.kind == "gradient" else "call", "", _call_name(first), repetitions)


def _signature(view: View, unit: Unit) -> tuple[Any, ...]:
    """Describe a unit by all that is seen of it but its place."""
    item = unit[0]
    nodes = [node for part in unit for node in nodes_in(part)]
    what = (item.head, len(nodes)) if isinstance(item, Group) else (_call_name(item), item.settings)
    operands = [view.nodes[operand] for operand in item.operands]
    results = item.results if isinstance(item, Group) else [item]
    return what, *((node.kind, shape(node.value)) for node in (*operands, *results))


def _call_name(item: Item) -> str:
    """Name the function of a call that is drawn by itself."""
    return item.head if isinstance(item, Group) else function_name(item.value._function)


def _chains(view: View, with_inputs: bool, past_leaves: bool = False) -> list[list[Unit]]:
    """Find the chains in which each unit has the one before for its only source, and that one no other user.

    Leaves that others use too are sources, unless they are passed over, with calls of leaves beside another source.
    """
    items = {item.key: item for item in view.items}
    own = _own_leaves(view, with_inputs)
    of_leaves = {key for key, item in items.items() if all(is_leaf(items[view.place[x]]) for x in item.operands)}
    after: dict[str, str] = {}
    for item in view.items:
        sources = _sources(view, item, own)
        if past_leaves:
            sources = frozenset(key for key in sources if not is_leaf(items[key]))
            beside = sources & of_leaves if sources - of_leaves else frozenset()
            sources -= beside
            for key in sorted(beside):
                if view.item_users[key] == {item.key} and not items[key].is_output:
                    own[item.key] += [items[key], *own[key]]
        if len(sources) == 1:
            before = items[next(iter(sources))]
            alone = view.item_users[before.key] == {item.key} and not before.is_output
            if alone and not is_leaf(before) and view.boxes.get(before.key) is view.boxes.get(item.key):
                after[before.key] = item.key
    inner = set(after.values())
    chains = []
    for start in (item.key for item in view.items if item.key in after and item.key not in inner):
        chain = [start]
        while chain[-1] in after:
            chain.append(after[chain[-1]])
        chains.append([(items[key], *own[key]) for key in chain])
    return chains


def _own_leaves(view: View, with_inputs: bool) -> dict[str, list[Item]]:
    """List the leaves that an item alone uses; inputs are among them only if that is said."""
    own: dict[str, list[Item]] = defaultdict(list)
    for item in view.items:
        users = view.item_users[item.key]
        if is_leaf(item) and len(users) == 1 and not item.is_output and (with_inputs or item.kind != "input"):
            own[next(iter(users))].append(item)
    return own


def _sources(view: View, item: Item, own: Mapping[str, Sequence[Item]]) -> frozenset[str]:
    """Give the keys of the items that an item uses, but for its own leaves."""
    return frozenset(view.place[operand] for operand in item.operands) - {leaf.key for leaf in own[item.key]}


# What is too long


def _without_middles(view: View) -> View:
    """Make one item of the middle of each long chain."""
    groups: list[tuple[Group, Box | None]] = []
    for chain in _chains(view, with_inputs=True):
        middle = chain[CHAIN_ENDS:-CHAIN_ENDS]
        if len(middle) >= FEWEST:
            nodes = [node for unit in middle for item in unit for node in nodes_in(item)]
            groups.append((_hidden(view, f"c{len(groups)}", nodes), view.boxes.get(middle[0][0].key)))
    return _replaced(view, groups)


def _without_middle(view: View, ends: int) -> View:
    """Make one item of all calls but the first and the last, with the leaves that they alone use."""
    calls = [item for item in view.items if not is_leaf(item)]
    middle = {item.key: item for item in calls[ends : len(calls) - ends]}
    for item in view.items:
        if is_leaf(item) and view.item_users[item.key] <= middle.keys() and not item.is_output:
            middle[item.key] = item
    if len(middle) < FEWEST:
        return view
    nodes = [node for item in middle.values() for node in nodes_in(item)]
    return _replaced(view, [(_hidden(view, "h", nodes), common(view.boxes.get(key) for key in middle))])


def _without_siblings(view: View) -> View:
    """Make one item of units that have the same sources and the same users, where they are many; then of leaves."""
    view = _without_most(view, "a", _sibling_calls(view))
    return _without_most(view, "b", _sibling_leaves(view))


def _sibling_calls(view: View) -> dict[Any, list[Unit]]:
    """Sort calls with their own leaves by their kind, their sources and their users."""
    own = _own_leaves(view, with_inputs=True)
    siblings: dict[Any, list[Unit]] = defaultdict(list)
    for item in view.items:
        if not is_leaf(item) and not item.is_output:
            place = _sources(view, item, own), frozenset(view.item_users[item.key])
            siblings[item.kind, *place].append((item, *own[item.key]))
    return siblings


def _sibling_leaves(view: View) -> dict[Any, list[Unit]]:
    """Sort leaves by their kind and their users."""
    siblings: dict[Any, list[Unit]] = defaultdict(list)
    for item in view.items:
        if is_leaf(item) and not item.is_output:
            siblings[item.kind, frozenset(view.item_users[item.key])].append((item,))
    return siblings


def _without_most(view: View, prefix: str, siblings: Mapping[Any, Sequence[Unit]]) -> View:
    """Keep the first of each set of siblings and make one item of the rest."""
    groups: list[tuple[Group, Box | None]] = []
    for (kind, *_), units in siblings.items():
        hidden = units[SIBLINGS:]
        if len(hidden) >= FEWEST:
            nodes = [node for unit in hidden for item in unit for node in nodes_in(item)]
            head = f"{len(hidden):,} more {kind}s"
            group = _group(view, f"{prefix}{len(groups)}", "left out", "", head, [nodes])
            groups.append((group, common(view.boxes.get(unit[0].key) for unit in hidden)))
    return _replaced(view, groups)


def _hidden(view: View, key: str, nodes: Sequence[Node]) -> Group:
    calls = sum(node.kind not in LEAVES for node in nodes)
    return _group(view, key, "left out", "", f"{calls:,} calls", [nodes])
