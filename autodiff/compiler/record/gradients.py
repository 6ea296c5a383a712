"""The arrow from a step to its `Record`: a program, and which gradients that is given and leaves."""

from __future__ import annotations

import operator
from collections.abc import Hashable
from dataclasses import dataclass, replace
from itertools import groupby
from typing import Any

import numpy as np

from autodiff.compiler.naming import target_of
from autodiff.compiler.program import Program, Value
from autodiff.compiler.record.comparison import difference
from autodiff.compiler.record.log import Log
from autodiff.compiler.record.tracing import Gradient, Step, Trace, trace
from autodiff.core import clock
from autodiff.core.record import data_of
from autodiff.core.tensor import Tensor


@dataclass(frozen=True)
class Record:
    """A step as it was recorded.

    Attributes:
        trace: what one run gave.
        program: its program, with gradients: last among its inputs those that it uses, last among its results those
            that it leaves.
        given: the gradients that it uses.
        kept: those that it leaves; others that are new it has used itself, to change the Tensors.
        cleared: those that it clears.
        log: who was at work when.
        is_for: Tensors of which it matters, and of what kind their gradients must be before the step.
    """

    trace: Trace
    program: Program
    given: list[Gradient]
    kept: list[Gradient]
    cleared: list[Gradient]
    log: Log
    is_for: list[tuple[Tensor, Hashable]]

    def returned(self) -> list[str]:
        """Say what each result of the program is: where it is in what the step returns, or whose gradient."""
        names: dict[int, str | None] = {id(place.tensor): place.name for place in self.trace.places}
        names |= {k: value.name for k, value in enumerate(self.trace.program.inputs)}
        whose = [names.get(one.of if isinstance(one.of, int) else id(one.of), "a Tensor") for one in self.kept]
        return [*(f"result{path}" for path in self.trace.form[1]), *(f"gradient of {name}" for name in whose)]


def kind_of(gradient: Any) -> Hashable:
    """Say of a gradient on what a program may depend: its type, and of an array or Tensor dtype and shape."""
    data = data_of(gradient)
    return type(gradient), *((data.dtype, data.shape) if isinstance(data, np.ndarray | np.generic) else ())


def record(step: Step, args: Any, kwargs: Any) -> Record:
    """Record a step, and if it computes gradients twice: with gradients where there were none before, and without.

    Where that makes no difference, one program is for both: the step begins by clearing gradients, and those of Tensors
    that it changes by them need not be kept.

    Raises:
        TypeError: the step cannot be recorded.
    """
    first = trace(step, args, kwargs)
    log = Log(clock.latest(), first.watch, first.lines)
    _name_results(first, log)
    _name_gradients(first)
    tensors = [gradient.of for gradient in first.gradients if isinstance(gradient.of, Tensor)]
    computes = any(gradient.change == "new" for gradient in first.gradients)
    other = _with_other_gradients(step, tensors, args, kwargs) if computes else first
    differs = difference(first, other) != ""
    used_first = first.used()
    used = used_first | other.used()
    program = first.program
    changed = {id(place.tensor) for place, (before, after) in zip(first.places, program.state) if after is not before}
    pairs = list(zip(first.gradients, other.gradients))
    given = [gradient for gradient in first.gradients if gradient.before in used_first]
    kept = [
        one
        for one, another in pairs
        if one.change == "new" and (id(one.of) not in changed or differs or {one.before, another.before} & used)
    ]
    return Record(
        first,
        replace(
            program,
            inputs=[*program.inputs, *(gradient.before for gradient in given if gradient.before)],
            results=[*program.results, *(gradient.after for gradient in kept if gradient.after)],
        ),
        given,
        kept,
        [one for one, another in pairs if "cleared" in (one.change, another.change)],
        log,
        [(tensor, kind_of(tensor._grad)) for tensor in tensors if differs or other is first],
    )


def _with_other_gradients(step: Step, tensors: list[Tensor], args: Any, kwargs: Any) -> Trace:
    """Record a step as if Tensors had gradients that have none, and none that have some."""
    before = [tensor._grad for tensor in tensors]
    try:
        for tensor in tensors:
            zeros = np.broadcast_to(np.zeros((), tensor.dtype), tensor.shape)[()]  # which take no memory
            tensor._grad = zeros if tensor._grad is None else None
        return trace(step, args, kwargs)
    finally:
        for tensor, gradient in zip(tensors, before):
            tensor._grad = gradient


def _name_results(traced: Trace, log: Log) -> None:
    """Name what is assigned, where no later call has: what the last call of an expression, or of a module, gives."""
    for line, calls in groupby(traced.program.calls, lambda call: traced.lines.get(call.stamp)):
        *_, last = calls
        if line and last.output.name is None and not last.several:
            last.output.name = target_of(line)
    for path, calls in groupby(traced.program.calls, lambda call: log.module(call.stamp)):
        *_, last = calls
        last.output.name = last.output.name or path or None


def _name_gradients(traced: Trace) -> None:
    """Call gradients after what they are of: of contributions to one that is the sum, if it was seen."""
    adds = [call for call in traced.program.calls if call.function in (operator.add, np.add)]
    sums: dict[Any, Value] = {call.args: call.output for call in adds}
    for contributions in traced.watch.passes:
        so_far: dict[int, Value | None] = {}
        for age, _, contribution in contributions:
            so_far[age] = sums.get((so_far[age], contribution)) if age in so_far else contribution
        for age, of, _ in contributions:
            if (gradient := so_far[age]) is not None:
                gradient.after = gradient.after or ("d", of)
