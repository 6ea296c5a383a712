"""One step of an optimizer: what changing the parameters costs beside the arithmetic.

Steps of SGD and Adam, with their defaults, over the same 100,000 float32 numbers in few, more and many arrays. The
gradients are given, so that nothing but the step is timed.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

import numpy as np

from tests.benchmarks.worker import WrongResultError, time_batches

NUMBERS = 100_000
ARRAYS = (4, 40, 400)
OPTIMIZERS = ("SGD", "Adam")
LEARNING_RATE = 1e-3
CHECKED_STEPS = 5

Arrays = list[np.ndarray[Any, Any]]
Step = Callable[[], Any]


def inputs(arrays: int) -> tuple[Arrays, Arrays]:
    """Parameters and their gradients, in so many arrays of one length."""
    rng = np.random.default_rng(0)
    shape = (2, arrays, NUMBERS // arrays)
    parameters, gradients = rng.normal(size=shape).astype(np.float32)
    return list(parameters), list(gradients)


def expected(optimizer: str, arrays: int) -> Arrays:
    """The parameters after some steps by the published formulas, in float64."""
    found = []
    for p, g in zip(*inputs(arrays)):
        p, g = p.astype(np.float64), g.astype(np.float64)
        mean = square = np.zeros_like(g)
        for step in range(1, CHECKED_STEPS + 1):
            if optimizer == "SGD":
                p = p - LEARNING_RATE * g
            else:
                mean, square = 0.9 * mean + 0.1 * g, 0.999 * square + 0.001 * g**2
                p = p - LEARNING_RATE * mean / (1 - 0.9**step) / (np.sqrt(square / (1 - 0.999**step)) + 1e-8)
        found.append(p)
    return found


def this_library(optimizer: str, arrays: int) -> tuple[Step, Callable[[], Arrays]]:
    from autodiff import Tensor
    from nn import optim

    values, gradients = inputs(arrays)
    parameters = [Tensor(value) for value in values]
    for parameter, gradient in zip(parameters, gradients):
        parameter.grad = gradient
    return getattr(optim, optimizer)(parameters, lr=LEARNING_RATE).step, lambda: [p.data for p in parameters]


def torch(optimizer: str, arrays: int, **options: Any) -> tuple[Step, Callable[[], Arrays]]:
    import torch

    torch.set_num_threads(int(os.environ.get("OMP_NUM_THREADS", "1")))
    values, gradients = inputs(arrays)
    parameters = [torch.tensor(value, requires_grad=True) for value in values]
    for parameter, gradient in zip(parameters, gradients):
        parameter.grad = torch.tensor(gradient)
    step = getattr(torch.optim, optimizer)(parameters, lr=LEARNING_RATE, **options).step
    return step, lambda: [p.detach().numpy() for p in parameters]


REFERENCE = "PyTorch"
CONTENDERS: dict[str, Callable[[str, int], tuple[Step, Callable[[], Arrays]]]] = {
    "this library": this_library,
    REFERENCE: torch,
    "PyTorch, foreach": lambda optimizer, arrays: torch(optimizer, arrays, foreach=True),
    "PyTorch, fused": lambda optimizer, arrays: torch(optimizer, arrays, fused=True),
}


def case(optimizer: str, arrays: int) -> str:
    """Name what is timed."""
    return f"{optimizer}, {arrays} arrays"


def measure(contender: str, batches: int, batch_seconds: float) -> dict[str, Any]:
    """Check and time the steps of all optimizers in one library, in this process.

    Returns:
        For each `case` what `time_batches` gives, its ``"seconds"`` being those of one step over all arrays.

    Raises:
        WrongResultError: the parameters are not those that the formulas give.
    """
    steps: dict[str, Any] = {}
    for optimizer in OPTIMIZERS:
        for arrays in ARRAYS:
            step, values = CONTENDERS[contender](optimizer, arrays)
            for _ in range(CHECKED_STEPS):
                step()
            for k, (found, wanted) in enumerate(zip(values(), expected(optimizer, arrays))):
                if not np.allclose(found, wanted, rtol=1e-5, atol=1e-6):
                    off = np.abs(found - wanted).max()
                    raise WrongResultError(f"{case(optimizer, arrays)}: parameter {k} is off by {off:.2g}")
            steps[case(optimizer, arrays)] = time_batches(step, batches, batch_seconds)
    return {"steps": steps}
