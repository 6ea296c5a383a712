"""The arrow from a planned program to its text."""

from __future__ import annotations

from autodiff.compiler.plan.loops import LoopProgram
from autodiff.compiler.plan.memory import Layout
from autodiff.compiler.record.log import Log
from autodiff.compiler.write.machine import machine_source
from autodiff.compiler.write.module import Source
from autodiff.compiler.write.source import numpy_source


def write(planned: Layout | LoopProgram, called: str, log: Log) -> Source:
    """Write the text of a planned program: of plain NumPy calls, or of loops for Numba; the log is for its comments."""
    return numpy_source(planned, called, log) if isinstance(planned, Layout) else machine_source(planned, called, log)
