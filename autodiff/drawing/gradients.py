"""The backward pass, looked at: the gradient that reaches each node, and the graph of the calls that compute it."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from autodiff.batching.array import innermost
from autodiff.compiler.state import Unkept
from autodiff.core.clock import tick
from autodiff.core.record import constant, data_of, is_variable, variable
from autodiff.core.rule import Array
from autodiff.core.tape import Entry, Hooks, Outputs, conj, pullback, recording
from autodiff.core.tensor import Tensor, is_complex
from autodiff.core.watch import Watch, watching
from autodiff.drawing.nodes import Node
from autodiff.drawing.text import is_here
from autodiff.transforms.checkpoint import checkpoint

MOST_NUMBERS = 1_000_000  # of a graph whose gradients are computed without being asked for


@dataclass(frozen=True)
class Backward:
    """A recorded backward pass.

    Attributes:
        gradients: what came out: the gradient of each leaf.
        turn: the stamp before its first call.
        origins: for each use of a rule, in order, the stamp after it, and the stamp of the Tensor whose call it was.
    """

    gradients: list[Tensor]
    turn: int
    origins: list[tuple[int, int]]


def backward_graph(outputs: Sequence[Tensor], names: Mapping[int, str]) -> Backward:
    """Record the backward pass from outputs, each of which begins with a gradient of ones.

    Of a complex one, that is the gradient of its real part. The ones are a variable, so that every call is recorded
    that does something with a gradient. The ``names`` are those of Tensors that have none of their own, by identity.
    """
    turn = tick()
    called = [output.name or names.get(id(output), "L") for output in outputs]
    top = called[0] if len(outputs) == 1 else "L"
    top = f"Re({top})" if any(map(is_complex, outputs)) else top
    seeds = [variable(np.ones_like(output.data)) for output in outputs]
    for seed, own in zip(seeds, called):
        seed.name = f"∂{top}/∂{own}"
    watch = _GradientWatch()
    with recording(True), watching(watch):
        by_leaf = pullback(list(zip(outputs, seeds)), create_graph=True)
    gradients = []
    for leaf, g in by_leaf.items():
        with recording(True):
            gradient = conj(g if isinstance(g, Tensor) else constant(g))
        name = leaf.name or names.get(id(leaf))
        gradient.name = f"∂{top}/∂{name}" if name else None
        gradients.append(gradient)
    return Backward(gradients, turn, watch.origins)


def gradients_of_all(nodes: Sequence[Node], outputs: Sequence[Tensor], hooks: Hooks = "all") -> dict[str, Any]:
    """Give the gradient of the sum of the outputs by every node that has one, by its key."""
    watch = _GradientWatch()
    seeds = [(output, np.ones_like(output.data)) for output in outputs]
    for output, seed in seeds:
        watch.add(output, seed)
    with recording(False), watching(watch):
        pullback(seeds, hooks=hooks)
    tensors = {node.key: node.value for node in nodes if isinstance(node.value, Tensor)}
    found = {key: watch.gradients.get(tensor._age) for key, tensor in tensors.items()}
    return {key: shown(g) for key, g in found.items() if g is not None}


def left_gradients(nodes: Sequence[Node]) -> dict[str, Any]:
    """Give the gradients that `backward` has left, by the keys of their nodes."""
    found = {node.key: node.value._grad for node in nodes if isinstance(node.value, Tensor)}
    return {key: g for key, g in found.items() if g is not None and not isinstance(g, Unkept)}


def fitting_gradients(nodes: Sequence[Node], outputs: Sequence[Tensor], of_run: bool) -> dict[str, Any] | None:
    """Give the gradient of each node that has one, if `backward` has left the same at the leaves, or else None.

    Nobody is told: no hook is called, and no ``grad`` changes. Nothing is computed for large graphs, for lazy arrays,
    and where a function would be run again, which may draw random numbers.

    Args:
        nodes: the graph.
        outputs: what the gradients are of: the sum of all their elements.
        of_run: whether the graph was made for the picture, so that nothing can be left at its leaves.
    """
    left = left_gradients(nodes)
    arrays = [innermost(one) for node in nodes for one in _arrays(data_of(node.value))]
    is_later = any(not (is_here(one) or isinstance(one, list | tuple)) for one in arrays)
    if is_later or (not of_run and not left) or sum(map(np.size, arrays)) > MOST_NUMBERS:
        return None
    if any(isinstance(node.value, Tensor) and node.value._function is checkpoint for node in nodes):
        return None
    # What cannot be computed is no error of a picture that was not asked for it: a Tensor that was changed since, or a
    # rule of the user's that fails.
    with contextlib.suppress(Exception), np.errstate(all="ignore"):
        gradients = gradients_of_all(nodes, outputs, hooks="none")
        leaves = [node.key for node in nodes if is_variable(node.value) and node.value.is_leaf]
        if of_run or all(_agree(left.get(key), gradients[key]) for key in leaves if key in gradients):
            return gradients | {key: left[key] for key in leaves if key in left and not of_run}
    return None


def _arrays(data: Any) -> Sequence[Any]:
    return data if isinstance(data, Outputs) else [data]


def _agree(left: Any, gradient: Any) -> bool:
    """Whether a gradient that was left is that of the picture, but for rounding."""
    one, other = innermost(left), np.asarray(innermost(gradient))
    if one is None or np.shape(one) != other.shape:
        return False
    share = float(np.finfo(other.dtype).eps) ** 0.75  # less than what is shown of a number of this dtype
    largest = float(np.abs(other[np.isfinite(other)]).max(initial=0.0))
    return bool(np.allclose(one, other, rtol=share, atol=share * largest, equal_nan=True))


def shown(gradient: Any) -> Any:
    """Give a gradient as it is shown for one as it flows, and back: of complex numbers, the conjugate."""
    return Outputs(map(conj, gradient)) if type(gradient) is Outputs else conj(gradient)


class _GradientWatch(Watch):
    """Keeps what each rule gives."""

    def __init__(self) -> None:
        self.gradients: dict[int, Any] = {}
        self.origins: list[tuple[int, int]] = []

    def see_gradient(self, node: Entry, argument: Entry, gradient: Array) -> None:
        """Keep what a call contributes to the gradient of one of its arguments."""
        self.origins.append((tick(), node._age))
        if self.walks == 1:  # a walk within a rule makes what that rule gives
            self.add(argument, gradient)

    def see_hooked(self, node: Entry, gradient: Array) -> None:
        """Keep what the functions that were registered for a Tensor made of its gradient."""
        self.gradients[node._age] = data_of(gradient)

    def add(self, tensor: Entry, gradient: Array) -> None:
        """Add a part of a Tensor's gradient to those that came before."""
        g, before = data_of(gradient), self.gradients.get(tensor._age)
        self.gradients[tensor._age] = g if before is None else before + g
