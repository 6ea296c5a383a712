"""The way from a step to the program that runs in its place: record, simplify, plan, write, bind.

A folder stands for each: what is recorded is a `Program`, which the simplifications make another one of; a plan says
what of it runs together and where its arrays lie; what is written is the text of a Python module, and bound it is a
function of the step's arguments.
"""

from __future__ import annotations

from typing import Any

from autodiff.compiler.bind.bound import Bound
from autodiff.compiler.bind.modules import build_of
from autodiff.compiler.naming import line
from autodiff.compiler.plan.plan import plan
from autodiff.compiler.record.gradients import Record
from autodiff.compiler.record.log import Log
from autodiff.compiler.record.tracing import Step
from autodiff.compiler.simplify.passes import simplified
from autodiff.compiler.write.write import write
from autodiff.core import clock
from autodiff.core.rule import name_of


def bound(
    step: Step, recorded: Record, args: Any, kwargs: Any, exact: bool, without: frozenset[str], backend: str
) -> Bound:
    """Make the program of a step that was recorded with some arguments."""
    program = simplified(recorded.program, exact, without, backend)
    called, log = line(name_of(step.function)), Log(clock.latest(), recorded.trace.watch)
    source = write(plan(program, backend, exact), called, log)
    return Bound(step, recorded, program, source, build_of(source.text, called, backend), args, kwargs)
