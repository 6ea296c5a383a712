"""The backward pass, looked at: the gradient that reaches each node, and the graph of the calls that compute it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from autodiff.core.clock import tick
from autodiff.core.record import constant, data_of, variable
from autodiff.core.rule import Array
from autodiff.core.tape import Entry, Outputs, conj, pullback, recording
from autodiff.core.tensor import Tensor, is_complex
from autodiff.core.watch import Watch, watching


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


def backward_graph(outputs: Sequence[Tensor]) -> Backward:
    """Record the backward pass from outputs, each of which begins with a gradient of ones.

    Of a complex one, that is the gradient of its real part. The ones are a variable, so that every call is recorded
    that does something with a gradient.
    """
    turn = tick()
    top = outputs[0].name if len(outputs) == 1 and outputs[0].name else "L"
    top = f"Re({top})" if any(map(is_complex, outputs)) else top
    seeds = [variable(np.ones_like(output.data)) for output in outputs]
    for seed, output in zip(seeds, outputs):
        seed.name = f"∂{top}/∂{output.name or 'L'}"
    watch = _GradientWatch()
    with recording(True), watching(watch):
        by_leaf = pullback(list(zip(outputs, seeds)), create_graph=True)
    gradients = []
    for leaf, g in by_leaf.items():
        with recording(True):
            gradient = conj(g if isinstance(g, Tensor) else constant(g))
        gradient.name = f"∂{top}/∂{leaf.name}" if leaf.name else None
        gradients.append(gradient)
    return Backward(gradients, turn, watch.origins)


def gradients_of_all(outputs: Sequence[Tensor]) -> dict[int, Any]:
    """Give the gradient of the sum of the outputs by every Tensor they were computed from; its stamp is the key."""
    watch = _GradientWatch()
    seeds = [(output, np.ones_like(output.data)) for output in outputs]
    for output, seed in seeds:
        watch.add(output, seed)
    with recording(False), watching(watch):
        pullback(seeds)
    return {stamp: shown(g) for stamp, g in watch.gradients.items()}


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
        self.add(argument, gradient)

    def see_hooked(self, node: Entry, gradient: Array) -> None:
        """Keep what the functions that were registered for a Tensor made of its gradient."""
        self.gradients[node._age] = data_of(gradient)

    def add(self, tensor: Entry, gradient: Array) -> None:
        """Add a part of a Tensor's gradient to those that came before."""
        g, before = data_of(gradient), self.gradients.get(tensor._age)
        self.gradients[tensor._age] = g if before is None else before + g
