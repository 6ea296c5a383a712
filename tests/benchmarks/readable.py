"""How many statements the gradient of a function has for a reader, here and in tangent-ad, which writes gradients, too.

What is counted, and of which functions and models, stands in ``tests/compiler/readable.py``. Nothing is timed.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import autodiff as ad
from tests.compiler.readable import FUNCTIONS, MODELS, Case, ModelCase, statements, statements_of_tangent


def this_library(case: Case | ModelCase, exact: bool = False) -> int:
    state, args = None, case.arguments
    if isinstance(case, Case):
        gradient, args = case.gradient(), tuple(case.arguments())
    else:
        state, gradient = case.gradient()
    compiled = ad.compile(gradient, state=state, exact=exact)
    compiled(*args)
    return statements(compiled.source)


def tangent_ad(case: Case | ModelCase, names_again: bool = True) -> int | None:
    if isinstance(case, Case):
        function, wrt = (case.function, case.wrt) if case.by_tangent else (None, ())
    else:
        function, wrt, _ = case.as_function()
    if function is None:
        return None
    count, names = statements_of_tangent(function, wrt)
    return count if names_again else count - names


CASES: dict[str, Case | ModelCase] = {
    **{case.function.__name__: case for case in FUNCTIONS},
    **{f"nn: {case.twin.__name__}": case for case in MODELS},
}
CONTENDERS: dict[str, Callable[[Case | ModelCase], int | None]] = {
    "this library": this_library,
    "exact=True": lambda case: this_library(case, exact=True),
    "tangent-ad": tangent_ad,
    "but what only names a value": lambda case: tangent_ad(case, names_again=False),
}


def measure(contender: str) -> dict[str, Any]:
    """Count the statements of all functions and models, None for what a library does not differentiate."""
    return {"statements": {name: CONTENDERS[contender](case) for name, case in CASES.items()}}
