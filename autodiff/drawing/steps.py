"""The steps through a graph, forward and back: what its nodes are called, and what they are found to be at each."""

from __future__ import annotations

import itertools
import re
import string
import unicodedata
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from autodiff.batching.array import innermost
from autodiff.core.record import data_of, is_variable
from autodiff.core.rule import Array
from autodiff.core.tape import Entry, Outputs, pack, pullback, recording
from autodiff.core.tensor import Tensor, is_complex
from autodiff.core.watch import Watch, watching
from autodiff.drawing.formulas import variable_positions
from autodiff.drawing.gradients import shown
from autodiff.drawing.nodes import Node
from autodiff.drawing.notation import raised, subscript
from autodiff.drawing.text import brief, function_name, is_here, is_number, literal, norm, shape, visible

_LETTERS = {"call": "v", "input": "x", "parameter": "w", "constant": "c", "gradient": "d"}  # of names that nobody gave
_LONGEST_LIST = 20  # characters of an array that stands in its node


@dataclass(frozen=True)
class Step:
    """A node on the way forward, where its value is computed, or on the way back, where its gradient is complete."""

    node: Node
    phase: Literal["forward", "backward"]


def steps_of(nodes: Sequence[Node], flow: Flow) -> list[Step]:
    """List all steps: a node each, on the way forward other than what is written as itself, and back what is reached.

    Args:
        nodes: those of a graph, in the order in which they were computed.
        flow: their gradients.
    """
    forward = [Step(node, "forward") for node in nodes if not is_literal(node)]
    return forward + [Step(node, "backward") for node in reversed(nodes) if flow.gradients.get(node.key) is not None]


def is_literal(node: Node) -> bool:
    """Whether a node is a number that is written as itself."""
    return node.kind == "constant" and is_number(data_of(node.value)) and not node.name


# Names


def names_of(nodes: Sequence[Node]) -> dict[str, str]:
    """Name every node: as the user did, where several are called the same with their numbers, or by a letter.

    A letter for the kind of node, and a number, is the name of one that has none. It is a letter that no name of the
    user's is or begins with a number after it: v₁ beside the user's v or v1 would seem to be part of it.
    """
    own = {node.key: visible(node.name) for node in nodes if node.name}
    several = {name for name, count in Counter(own.values()).items() if count > 1}
    taken = {_plain(name) for name in own.values()}
    letters = {kind: _free_letter(letter, taken) for kind, letter in _LETTERS.items()}
    counts = {name: itertools.count(1) for name in [*several, *letters.values()]}
    names = {}
    for node in nodes:
        name = own.get(node.key)
        if name in several:
            names[node.key] = f"{name}⁽{raised(str(next(counts[name])))}⁾"
        elif name:
            names[node.key] = name
        elif is_literal(node):
            names[node.key] = brief(data_of(node.value)).replace("-", "−")
        else:
            letter = letters[node.kind]
            names[node.key] = f"{letter}{subscript(next(counts[letter]))}"
    return names


def _plain(name: str) -> str:
    """Write a name without subscripts and lines between, as which it could be read."""
    return unicodedata.normalize("NFKC", name).replace("_", "")


def _free_letter(letter: str, taken: set[str]) -> str:
    others = [one for one in string.ascii_lowercase if one not in _LETTERS.values()]
    pairs = ("".join(pair) for pair in itertools.product(string.ascii_lowercase, repeat=2))
    for candidate in itertools.chain([letter], reversed(others), pairs):
        if not any(re.fullmatch(rf"{candidate}\d*", name) for name in taken):
            taken.add(candidate)  # also by this kind
            return candidate
    return letter


def loss_of(nodes: Sequence[Node], names: Mapping[str, str]) -> str:
    """Write what the gradients are of: the output, or the sum of its elements, or of several outputs."""
    outputs = [node for node in nodes if node.is_output]
    sums = ["Σ" * (np.shape(innermost(data_of(node.value))) != ()) + names[node.key] for node in outputs]
    total = " + ".join(sums)
    if len(outputs) > 1:
        total = f"({total})" if len(total) <= 24 else f"({sums[0]} + … + {sums[-1]})"
    return f"Re({total})" if any(is_complex(node.value) for node in outputs) else total


# Numbers in few characters


def written(x: Any, digits: int = 4) -> str:
    """Write a number as the user did, if that is short, and else rounded, where a zero at its end says so.

    Example:
        >>> written(0.1), written(np.float32(0.1)), written(2.0), written(2 / 3), written(0.50000001)
        ('0.1', '0.1', '2', '0.6667', '0.5000')
        >>> written(0.1 + 0.2), written(-1.5e-7), written(123456.7), written(1 - 0.5j), written(np.inf), written(-0.0)
        ('0.3', '−1.5e−7', '1.235e5', '1−0.5j', '∞', '0')
    """
    if isinstance(x, complex | np.complexfloating):
        imaginary = written(x.imag, digits)
        return f"{written(x.real, digits)}{'' if imaginary.startswith('−') else '+'}{imaginary}j"
    if not isinstance(x, float | np.floating):
        return str(int(x)).replace("-", "−")
    if not np.isfinite(x):
        return "NaN" if np.isnan(x) else "∞" if x > 0 else "−∞"
    own = float(str(x)) + 0.0  # with the digits of its dtype, and a zero without its sign
    short, rounded = (f"{own:{form}.{digits}g}" for form in ("", "#"))
    text = short if abs(float(short) - own) <= 1e-12 * abs(own) else rounded
    if own.is_integer() and abs(own) < 1e7:
        text = f"{own:.0f}"
    return re.sub(r"e(-?)\+?0*", r"e\1", text.removesuffix(".")).replace("-", "−")


def in_a_word(value: Any) -> str | None:
    """Write an array in few characters: its elements, or how large they are; of a lazy one nothing is known."""
    if type(value) is Outputs:
        return None
    value = innermost(value)
    if not is_here(value):
        return None
    array = np.asarray(value)
    if not array.size:
        return None
    if array.size <= 6:
        elements = np.empty(array.size, object)
        elements[:] = [written(one) for one in array.reshape(-1)]
        text = str(elements.reshape(array.shape).tolist()).replace("'", "")
        if len(text) <= _LONGEST_LIST:
            return text
    return f"norm {written(norm(array))}"


# Nodes that fill


def texts_of(node: Node, flow: Flow) -> dict[str, str]:
    """Give what a node says of its value and its gradient once they are known."""
    texts: dict[str, str] = {}
    if is_literal(node):
        return texts
    if value := in_a_word(data_of(node.value)):
        texts["value"] = value if value.startswith("norm") else f"= {value}"
    if gradient := in_a_word(flow.gradients.get(node.key)):
        texts["gradient"] = f"grad {gradient}"
    return texts


def title_of(node: Node) -> str:
    """Give what a node is: the function that was called, or the kind of array."""
    return function_name(node.value._function) if node.kind == "call" else node.kind


def label(node: Node, name: str, texts: Mapping[str, str], colours: Mapping[str, str]) -> str:
    """Write the label of a node that has room for its value and its gradient.

    Args:
        node: the node.
        name: what it is called.
        texts: of its value and its gradient; each stands in a row of its own, which is the last.
        colours: of the title, of what is said besides, of "value" and of "gradient".
    """
    is_titled = is_literal(node) or (node.kind != "call" and node.name)
    data = data_of(node.value)
    rows = [("title", f"<b>{literal(name if is_titled else title_of(node))}</b>", 12)]
    if not is_titled:
        rows.append(("name", f"<i>{literal(name)}</i>", 12))
    rows += [("quiet", literal(setting), 10) for setting in node.settings]
    if np.shape(data) or type(data) is Outputs:
        rows.append(("quiet", literal(shape(data)), 10))
    rows += [(place, literal(text), 11) for place, text in texts.items()]
    written_rows = "".join(
        f'<tr><td><font point-size="{size}" color="{colours[place]}">{text}</font></td></tr>'
        for place, text, size in rows
    )
    return f'<<table border="0" cellborder="0" cellspacing="0" cellpadding="1">{written_rows}</table>>'


# Gradients


class Flow(Watch):
    """One backward pass, seen: every gradient, and what each call contributes to it.

    Attributes:
        gradients: of each node that a gradient reached, by its key; of the sum of all elements of the outputs.
        contributions: what a call (its key, and the position of an operand, counted from one) gave to that operand.
        arrivals: for each node the calls and positions that its gradient is the sum of, in their order.
    """

    def __init__(self, nodes: Sequence[Node]) -> None:
        by_key = {node.key: node for node in nodes}
        self.gradients: dict[str, Any] = {}
        self.contributions: dict[tuple[str, int], Any] = {}
        self.arrivals: dict[str, list[tuple[str, int]]] = {node.key: [] for node in nodes}
        # For each call, which operand takes the next contribution.
        self._keys = {id(node.value): node.key for node in nodes}
        self._places: dict[int, Iterator[tuple[str, int, str]]] = {}
        for node in nodes:
            if node.kind == "call":
                self._places |= _places(node, by_key)
        seeds = []
        for node in nodes:
            if node.is_output:
                self.gradients[node.key] = np.ones_like(node.value._array)
                seeds.append((node.value, self.gradients[node.key]))
        with recording(False), watching(self), np.errstate(all="ignore"):
            pullback(seeds)

    def see_gradient(self, node: Entry, argument: Entry, gradient: Array) -> None:
        """Add a contribution, unless it is one within the rule of a call."""
        if id(node) not in self._places or argument._function is pack:
            return
        call, position, operand = next(self._places[id(node)])
        gradient = shown(gradient)
        self.contributions[call, position] = gradient
        self.arrivals[operand].append((call, position))
        before = self.gradients.get(operand)
        self.gradients[operand] = gradient if before is None else before + gradient

    def see_hooked(self, node: Entry, gradient: Array) -> None:
        """Show what the functions that were registered for a Tensor made of its gradient."""
        if id(node) in self._keys:
            self.gradients[self._keys[id(node)]] = shown(gradient)


def _places(call: Node, nodes: Mapping[str, Node]) -> dict[int, Iterator[tuple[str, int, str]]]:
    """Give the operands of a call in the order in which they take their gradients, by the entry that gives them."""
    uses = [use for arg in call.value._args for use in _uses(call.value, arg)]
    places: dict[int, list[tuple[str, int, str]]] = {}
    for position, (_, giver) in zip(variable_positions(call, nodes, uses), uses):
        places.setdefault(id(giver), []).append((call.key, position, call.operands[position - 1]))
    return {giver: iter(of) for giver, of in places.items()}


def _uses(giver: Tensor, arg: Any) -> Iterator[tuple[Tensor, Tensor]]:
    """Give the Tensors in an argument with what gives them their gradient: the call, or the pack of a list."""
    if not is_variable(arg):
        return
    if arg._function is pack:
        for item in arg._args:
            yield from _uses(arg, item)
    else:
        yield arg, giver
