"""The way from a step to what runs in its place: record, simplify, plan, write, bind. A folder stands for each.

The step runs on arrays that write down each NumPy call: a `Program`. Simplifications make another one of it, with fewer
or faster calls. A plan says what of that runs together, and where its arrays lie. It is written as the text of a
Python module, and bound: a function of the step's arguments, which knows where the state lies.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from autodiff.compiler.bind.bound import Bound
from autodiff.compiler.plan.plan import plan
from autodiff.compiler.record.gradients import record
from autodiff.compiler.record.tracing import Step
from autodiff.compiler.simplify.passes import Options, simplify
from autodiff.compiler.write.write import write


def bound(step: Step, args: Any, kwargs: Any, options: Options, others: Sequence[Bound]) -> Bound:
    """Make what runs in place of a step for such arguments, or find that one of others is the same."""
    recorded = record(step, args, kwargs)
    if same := next((other for other in others if other.is_of(recorded)), None):
        return same
    program = simplify(recorded.program, options)
    planned = plan(program, options.backend, options.exact)
    source = write(planned, step.called, recorded.returned(), recorded.log)
    return Bound(source, program, recorded, step, args, kwargs, options.backend)
