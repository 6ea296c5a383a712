"""Expressions of single numbers, as micrograd makes them: what they cost here and in micrograd.

Every workload is the same Python code for both libraries, which differ only in the class that flows through it.
"""

from __future__ import annotations

import gc
import itertools
import math
import random
import sys
import time
from collections.abc import Callable
from typing import Any

import numpy as np

from tests.benchmarks.worker import WrongResultError, time_batches

LENGTH = 1000  # operations in all workloads but the network
REACH = 20  # an expression uses two of so many values before it
NEURONS = (2, 16, 16, 1)
POINTS = 100
PENALTY = 1e-4

Number = Callable[[float], Any]  # makes a leaf that wants a gradient
Pass = Callable[[], list[Any]]  # does forward and backward, and gives the leaves' gradients


def product_chain(number: Number, zero: Any) -> Pass:
    def run() -> list[Any]:
        x = y = number(1.0)
        for _ in range(LENGTH):
            y = y * 0.999
        y.backward()
        return [x.grad]

    return run


def mixed_chain(number: Number, zero: Any) -> Pass:
    def run() -> list[Any]:
        x, w, b = number(1.0), number(0.9), number(0.2)
        y = x
        for _ in range(LENGTH // 5):
            y = (y * w + b).relu() * 0.999 - 0.1
        y.backward()
        return [x.grad, w.grad, b.grad]

    return run


# Two operations each, which leave values between 0 and 0.7 there; the commonest stand first.
EXPRESSIONS: list[Callable[[Any, Any], Any]] = [
    lambda a, b: (a + b) * 0.5,
    lambda a, b: a * b + 0.2,
    lambda a, b: (a - b).relu(),
    lambda a, b: a / (b + 1),
    lambda a, b: a**2 + 0.2,
]


def expression_graph(number: Number, zero: Any) -> Pass:
    """Random expressions; each value is used by two of those that follow it, on average."""
    drawn = random.Random(0)
    count = (LENGTH - REACH) // 2
    kinds = drawn.choices(EXPRESSIONS, weights=(3, 2, 1, 1, 1), k=count)
    plan = [(kind, -drawn.randint(1, REACH), -drawn.randint(1, REACH)) for kind in kinds]

    def run() -> list[Any]:
        leaves = [number(0.3 + 0.4 * k / REACH) for k in range(REACH)]
        values = list(leaves)
        for expression, i, j in plan:
            values.append(expression(values[i], values[j]))
        sum(values[-REACH:]).backward()
        return [leaf.grad for leaf in leaves]

    return run


def two_moons() -> tuple[list[list[float]], list[int]]:
    """Points on two interlocking half circles, with noise, and on which of them each lies: 1 or -1."""
    rng = np.random.default_rng(0)
    angles = np.linspace(0, np.pi, POINTS // 2)
    upper = np.column_stack([np.cos(angles), np.sin(angles)])
    points = np.concatenate([upper, [1, 0.5] - upper]) + 0.1 * rng.standard_normal((POINTS, 2))
    return points.tolist(), [1] * (POINTS // 2) + [-1] * (POINTS // 2)


def two_moons_step(number: Number, zero: Any) -> Pass:
    """Forward, zero_grad and backward of micrograd's demo: its network, neuron by neuron, over all points.

    The loss is the demo's: how far the scores fall short of a margin of one, on average, and a penalty on weights.
    """
    points, labels = two_moons()
    drawn = random.Random(0)
    layers = [
        [([number(drawn.uniform(-1, 1)) for _ in range(width)], number(0.0)) for _ in range(neurons)]
        for width, neurons in itertools.pairwise(NEURONS)
    ]
    parameters = [p for layer in layers for weights, bias in layer for p in (*weights, bias)]

    def score(x: list[Any]) -> Any:
        for layer in layers:
            x = [sum((w * xi for w, xi in zip(weights, x)), bias) for weights, bias in layer]
            if layer is not layers[-1]:
                x = [activation.relu() for activation in x]
        return x[0]

    def run() -> list[Any]:
        scores = [score(list(map(number, point))) for point in points]
        losses = [(1 + -label * found).relu() for label, found in zip(labels, scores)]
        loss = sum(losses) * (1.0 / len(losses)) + PENALTY * sum(p * p for p in parameters)
        for p in parameters:
            p.grad = zero
        loss.backward()
        return [p.grad for p in parameters]

    return run


# Each with the number of operations to divide the time by, and the share of micrograd's time that it may take.
WORKLOADS: dict[str, tuple[Callable[[Number, Any], Pass], int, float]] = {
    "x * c": (product_chain, LENGTH, 0.5),
    "mixed chain": (mixed_chain, LENGTH, 0.5),
    "expression graph": (expression_graph, LENGTH, 0.5),
    "two moons, a step": (two_moons_step, 1, 0.6),
}


def this_library() -> tuple[Number, Any]:
    """The class, and what stands in ``grad`` before the first gradient."""
    from autodiff import Tensor

    return Tensor, None


def micrograd() -> tuple[Number, Any]:
    from micrograd.engine import Value

    sys.setrecursionlimit(100 * LENGTH)  # it walks its graph recursively
    return Value, 0


REFERENCE = "micrograd"
CONTENDERS: dict[str, Callable[[], tuple[Number, Any]]] = {"this library": this_library, REFERENCE: micrograd}


def measure(contender: str, batches: int, batch_seconds: float) -> dict[str, Any]:
    """Check and time all workloads in one library, in this process.

    Returns:
        For each workload what `time_batches` gives, its ``"seconds"`` being those of one operation, and
        ``"uncollected"``, the same without Python's cycle collector.

    Raises:
        WrongResultError: a gradient is not the one that micrograd finds.
    """
    workloads: dict[str, Any] = {}
    for name, (make, operations, _) in WORKLOADS.items():
        run = make(*CONTENDERS[contender]())
        # Where none came, it is None in one and 0 in the other.
        found, right = ([float(g or 0) for g in each()] for each in (run, make(*CONTENDERS[REFERENCE]())))
        for ours, theirs in zip(found, right, strict=True):
            if not math.isclose(ours, theirs, rel_tol=1e-9, abs_tol=1e-12):
                raise WrongResultError(f"{name}: gradient {ours}, of {REFERENCE} {theirs}")
        timed = time_batches(run, batches, batch_seconds)
        timed["uncollected"] = [_uncollected(run) for _ in range(batches)]
        per_operation = {part: [s / operations for s in timed[part]] for part in ("seconds", "uncollected")}
        workloads[name] = timed | per_operation
    return {"workloads": workloads}


def _uncollected(run: Pass) -> float:
    """Time a call that the cycle collector does not interrupt, though it has to clear away what micrograd leaves."""
    gc.collect()
    gc.disable()
    start = time.perf_counter()
    run()
    end = time.perf_counter()
    gc.enable()
    return end - start
