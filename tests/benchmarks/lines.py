"""What the statements of a compiled program take: the program is run to the end, and cut short after each of them.

What a statement takes is the difference of two times: a clock between statements would take as long as those of a small
network do, and machine code has none.
"""

from __future__ import annotations

import ast
import importlib.util
import inspect
import tempfile
import textwrap
import time
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

from tests.benchmarks import ladder
from tests.benchmarks.ladder import Problem, Step

TURNS = 15
TURN_SECONDS = 0.005


def profile(problem: Problem, backend: str) -> list[tuple[str, float]]:
    """Give the statements of a compiled training step in order, and seconds for each.

    The last is what the call takes beside them: the look at its arguments and at the state.
    """
    import autodiff

    step, (model, optimizer) = ladder.our_step(problem, ladder.cross_entropy)
    program = autodiff.compile(step, state=(model, optimizer), backend=backend)
    x, labels = problem.x, problem.labels
    program(x, labels)
    program(x, labels)
    arrays = {path.replace(".", "_"): array for path, array in model.state_dict().items()}
    arrays |= {place.name: place.get() for place in optimizer.places()}
    texts, steps = [], []
    for text, cut in _cut_short(program.source):
        build = _module(cut).build
        own = [arrays[name].copy() for name in inspect.signature(build).parameters]
        bound = build(*own)
        texts.append(text)
        steps.append(_call(bound, x, labels))
    whole, *times = _fastest([lambda: program(x, labels), *steps])
    spent = [after - before for before, after in zip([0.0, *times], times)]
    return [*zip(texts, spent), ("the call around them", whole - times[-1])]


def _call(bound: Callable[..., Any], x: Any, labels: Any) -> Step:
    steps_taken = 2
    return lambda: bound(x, labels, ladder.LEARNING_RATE, steps_taken)


def _fastest(steps: list[Step]) -> list[float]:
    """Time steps in turns, so that a change of the processor's speed is the same for all."""
    best = [float("inf")] * len(steps)
    for _ in range(TURNS):
        for position, step in enumerate(steps):
            start = time.perf_counter()
            step()
            once = time.perf_counter() - start
            calls = max(2, int(TURN_SECONDS / once))
            start = time.perf_counter()
            for _ in range(calls):
                step()
            best[position] = min(best[position], (time.perf_counter() - start) / calls)
    return best


def _cut_short(source: str) -> list[tuple[str, str]]:
    """Give each statement of ``step``, and the source cut off after it."""
    source = source.replace("cache=True", "cache=False")  # Numba's files are for programs that come again
    cut = []
    for position, statement in enumerate(_function(ast.parse(source), "step").body[:-1], start=1):
        until = _shortened(source, "step", position)
        name = _called_part(statement)
        if name is not None:
            for inner, stands in enumerate(_function(ast.parse(source), name).body, start=1):
                if isinstance(
                    stands, ast.For | ast.Expr
                ):  # what is between, of single numbers, counts as the next one's
                    cut.append((_text(stands), _shortened(until, name, inner)))
        else:
            cut.append((_text(statement), until))
    return cut


def _function(tree: ast.Module, name: str) -> ast.FunctionDef:
    return next(node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef) and node.name == name)


def _shortened(source: str, name: str, statements: int) -> str:
    tree = ast.parse(source)
    del _function(tree, name).body[statements:]
    return ast.unparse(tree)


def _called_part(statement: ast.stmt) -> str | None:
    """Name the function of machine code that a statement calls."""
    names = {node.id for node in ast.walk(statement) if isinstance(node, ast.Name)}
    return next((name for name in names if name.startswith("part_")), None)


def _text(statement: ast.stmt) -> str:
    return textwrap.shorten(" ".join(ast.unparse(statement).split()), 110)


def _module(source: str) -> ModuleType:
    """Import a source from a file, where Numba wants to find it."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "program.py"
        path.write_text(source)
        spec = importlib.util.spec_from_file_location(path.stem, path)
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
    return module
