"""What the tests of compiled steps share: programs are checked between all simplifications, and when planned."""

from __future__ import annotations

import functools
import tracemalloc
from collections.abc import Iterator
from typing import Any

import pytest

from autodiff.compiler import pipeline
from autodiff.compiler.program import Program
from autodiff.compiler.simplify.passes import PASSES, Pass


@pytest.fixture(autouse=True, scope="module")
def checked_programs() -> Iterator[None]:
    """Check each program that is recorded, simplified or planned, but where memory is measured."""
    simplify, plan = pipeline.simplify, pipeline.plan

    def check_first(program: Program, *args: Any, **kwargs: Any) -> Program:
        if not tracemalloc.is_tracing():
            program.check()
        return simplify(program, *args, **kwargs)

    def check_then(change: Pass, program: Program) -> Program:
        after = change(program)
        if not tracemalloc.is_tracing():
            after.check(program)
        return after

    def check_plan(*args: Any) -> Any:
        planned = plan(*args)
        if not tracemalloc.is_tracing():
            planned.check()
        return planned

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pipeline, "simplify", check_first)
        patch.setattr(pipeline, "plan", check_plan)
        for name, change in PASSES.items():
            patch.setitem(PASSES, name, functools.wraps(change)(functools.partial(check_then, change)))
        yield
