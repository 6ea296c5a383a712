"""The arrow from a planned program to its text."""

from __future__ import annotations

from collections.abc import Sequence

from autodiff.compiler.plan.loops import LoopProgram
from autodiff.compiler.plan.memory import Layout
from autodiff.compiler.record.log import Log
from autodiff.compiler.write.machine import machine_source
from autodiff.compiler.write.module import Source
from autodiff.compiler.write.source import numpy_source


def write(planned: Layout | LoopProgram, called: str, returned: Sequence[str], log: Log) -> Source:
    """Write the text of a planned program: of plain NumPy calls, or of loops for Numba.

    Args:
        planned: the program.
        called: the name of the step.
        returned: what each result is, as `Record.returned` says it.
        log: for comments.
    """
    if isinstance(planned, Layout):
        return numpy_source(planned, called, returned, log)
    return machine_source(planned, called, returned, log)
