"""Chains of scalar operations in this library, up to a million long: time and memory must grow linearly."""

from __future__ import annotations

import gc
import time
import tracemalloc
from typing import Any

import numpy as np

from autodiff import Tensor
from tests.benchmarks.worker import WrongResultError

LENGTHS = (1_000, 10_000, 100_000, 1_000_000)
FACTOR = 0.999999


def forward(x: Tensor, length: int) -> Tensor:
    """Multiply by `FACTOR` so many times."""
    for _ in range(length):
        x = x * FACTOR
    return x


def seconds(length: int, operations: int) -> dict[str, Any]:
    """Time a chain, repeated until about so many operations have run.

    Python's cycle collector looks through all living objects again and again while the graph grows, though a graph
    has no cycles; so the chain is timed without it as well.

    Returns:
        Seconds an operation, one entry a repetition: ``"forward"``, ``"backward"``, ``"free"`` for letting go of the
        graph, and ``"uncollected"`` for the forward pass without the cycle collector.
    """
    forward(Tensor(1.0), 1000).backward()
    repetitions = [_repetition(length) for _ in range(max(1, operations // length))]
    gc.disable()
    uncollected = [_repetition(length) for _ in repetitions]
    gc.enable()
    result = {name: [times[name] for times in repetitions] for name in ("forward", "backward", "free")}
    return result | {"uncollected": [times["forward"] for times in uncollected]}


def _repetition(length: int) -> dict[str, float]:
    x = Tensor(1.0)
    start = time.perf_counter()
    y = forward(x, length)
    recorded = time.perf_counter()
    y.backward()
    differentiated = time.perf_counter()
    del y
    freed = time.perf_counter()
    if not np.isclose(x.grad, FACTOR**length, rtol=1e-9, atol=0):
        raise WrongResultError(f"gradient {x.grad}, by hand {FACTOR**length}")
    return {
        "forward": (recorded - start) / length,
        "backward": (differentiated - recorded) / length,
        "free": (freed - differentiated) / length,
    }


def peak_bytes(length: int) -> dict[str, Any]:
    """Trace the memory of a chain: ``"bytes"`` a node at the peak of both passes."""
    gc.collect()  # empties Python's free lists too, whose reuse would not be counted
    tracemalloc.start()
    before, _ = tracemalloc.get_traced_memory()
    y = forward(Tensor(1.0), length)
    y.backward()
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    return {"bytes": (peak - before) / length}


def measure(quantity: str, **task: Any) -> dict[str, Any]:
    """Measure ``"seconds"`` or ``"bytes"`` in this process: tracing memory would slow down the clock's passes.

    Raises:
        WrongResultError: the gradient is not the product of the factors.
    """
    return {"seconds": seconds, "bytes": peak_bytes}[quantity](**task)
