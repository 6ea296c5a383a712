"""The compiled step against everything that could be faster: hand-written NumPy, PyTorch, `torch.compile`, JAX.

The workloads are the `ladder`'s four and shapes of about the same sizes, with SGD and with Adam, variants of the
smallest, and micrograd's demo, the two moons. What every contender computes is compared with `expected`, the same
training written plainly in float64. The memory of a step is measured beside its time.
"""

from __future__ import annotations

import gc
import os
import random
import sys
import time
import tracemalloc
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np

from tests.benchmarks import ladder, lines, scalars
from tests.benchmarks.ladder import LEARNING_RATE, Problem, Size, Step
from tests.benchmarks.worker import WrongResultError, time_batches

TINY = ladder.SIZES["T"]
MOONS = "two moons"
SHAPES = {  # of about the sizes of the ladder's, so that nothing is made to fit those alone
    "T2": Size(16, (64, 100, 30, 5)),
    "S2": Size(100, (600, 150, 20)),
    "M2": Size(200, (512, 512, 128, 10)),
    "L2": Size(200, (900, 900, 900, 10)),
}
TRAININGS = {  # the steps that have limits, by what the tables are called
    title: {name + of: replace(size, optimizer=optimizer) for name, size in sizes.items()}
    for title, sizes, optimizer, of in (
        ("SGD", ladder.SIZES, "SGD", ""),
        ("Adam", ladder.SIZES, "Adam", ", Adam"),
        ("other shapes, SGD", SHAPES, "SGD", ""),
        ("other shapes, Adam", SHAPES, "Adam", ", Adam"),
    )
}
VARIANTS = {
    "T, tanh": replace(TINY, activation="tanh"),
    "T, sigmoid": replace(TINY, activation="sigmoid"),
    "batch 1": replace(TINY, batch=1),
    "batch 4096": replace(TINY, batch=4096),
    "ten layers": Size(32, (64, *[32] * 10, 10)),
    MOONS: Size(scalars.POINTS, scalars.NEURONS, loss="hinge"),
}
WORKLOADS = {name: size for sizes in (*TRAININGS.values(), VARIANTS) for name, size in sizes.items()}
MEASURED_FOR_MEMORY = ("S", "L")


def problem_of(workload: str) -> Problem:
    """Draw the problem of a workload, the same at every call and in arrays of its own."""
    problem = Problem.of(WORKLOADS[workload])
    if workload == MOONS:
        points, labels = scalars.two_moons()
        problem = replace(problem, x=np.array(points, np.float32), labels=np.array(labels, np.float32))
    return problem


def hinge(model: Any, x: Any, labels: Any) -> Any:
    """The loss of micrograd's demo: how far scores fall short of a margin of one, and a penalty on the parameters."""
    shortfall = np.maximum(1 - labels * model(x)[:, 0], 0)
    return shortfall.mean() + scalars.PENALTY * sum((p * p).sum() for p in model.parameters())


LOSSES = {"cross_entropy": ladder.cross_entropy, "hinge": hinge}


def eager(problem: Problem) -> Step:
    """This library, run eagerly."""
    step, _ = ladder.our_step(problem, LOSSES[problem.size.loss])
    return lambda: step(problem.x, problem.labels)


def compiled(problem: Problem, **options: Any) -> Step:
    """This library's step through `autodiff.compile`, with its defaults or some other options."""
    import autodiff

    step, state = ladder.our_step(problem, LOSSES[problem.size.loss])
    program = autodiff.compile(step, state=state, **options)
    x, labels = problem.x, problem.labels
    return lambda: program(x, labels)


def compiled_by_numba(problem: Problem) -> Step:
    """The same, as machine code."""
    import numba  # noqa: F401 so that it counts as not installed, not as failed, where it is not

    return compiled(problem, backend="numba")


def torch_compile(problem: Problem) -> Step:
    """`torch.compile` of the whole step, update included, which is faster than compiling the forward pass alone."""
    torch = ladder.limited_torch()
    parameters = [torch.from_numpy(array) for array in problem.weights + problem.biases]
    loss_of = ladder.torch_loss(problem, torch)
    update, slots = ladder.functional_optimizer(problem.size.optimizer, parameters, torch.tensor(0.0))
    leaves = torch.utils._pytree.tree_leaves

    @torch.compile(fullgraph=True)
    def train(parameters: Any, slots: Any) -> Any:
        gradients, loss = torch.func.grad_and_value(loss_of)(parameters)
        for old, new in zip(leaves((parameters, slots)), leaves(update(parameters, gradients, slots))):
            old.copy_(new)
        return loss

    return lambda: train(parameters, slots)


def jax_on_one_core(problem: Problem) -> Step:
    """JAX, which makes as many threads as there are cores, kept on a single one: faster for small networks."""
    os.sched_setaffinity(0, [max(os.sched_getaffinity(0))])
    return ladder.jax_jit(problem)


def micrograd_moons(problem: Problem) -> Step:
    """The demo of micrograd with its own network, number by number, in Python's floats."""
    from micrograd.nn import MLP

    sys.setrecursionlimit(100_000)  # it walks its graph recursively
    widths = problem.size.widths
    random.seed(0)
    model = MLP(widths[0], list(widths[1:]))
    for layer, W, b in zip(model.layers, problem.weights, problem.biases):
        for neuron, weights, bias in zip(layer.neurons, W.T.tolist(), b.tolist()):
            neuron.b.data = bias
            for weight, value in zip(neuron.w, weights):
                weight.data = value
    points, labels = problem.x.tolist(), problem.labels.tolist()

    def step() -> float:
        losses = [(1 + -label * model(point)).relu() for label, point in zip(labels, points)]
        loss = sum(losses) * (1.0 / len(losses)) + scalars.PENALTY * sum(p * p for p in model.parameters())
        model.zero_grad()
        loss.backward()
        for p in model.parameters():
            p.data -= LEARNING_RATE * p.grad
        return loss.data

    return step


NUMPY_BACKEND = "this library, compiled"
NUMBA_BACKEND = "this library, compiled, Numba"
TORCH_COMPILE = "torch.compile"
JAX_ON_ONE_CORE = "JAX jit, one core"
MICROGRAD = "micrograd"
LIBRARY: dict[str, Callable[[Problem], Step]] = {
    ladder.EAGER: eager,
    NUMPY_BACKEND: compiled,
    NUMBA_BACKEND: compiled_by_numba,
}
BOUNDS = {name: ladder.CONTENDERS[name] for name in (ladder.BY_HAND, ladder.PRODUCTS)}
RIVALS: dict[str, Callable[[Problem], Step]] = {
    ladder.REFERENCE: ladder.torch_modules,
    ladder.BARE_TENSORS: ladder.torch_tensors,
    TORCH_COMPILE: torch_compile,
    ladder.JAX: ladder.jax_jit,
    JAX_ON_ONE_CORE: jax_on_one_core,
}
CONTENDERS = LIBRARY | BOUNDS | RIVALS | {MICROGRAD: micrograd_moons}
COMPILERS = (NUMPY_BACKEND, NUMBA_BACKEND, TORCH_COMPILE, ladder.JAX)

AS_FAST = {"T": 0.33, "S": 0.95, "M": 1.0, "L": 1.0}  # by the size that a training's name begins with
# What is compared with the best of which others, and the share of their time that it may take at most.
LIMITS: dict[str, tuple[str, list[str], dict[str, float]]] = {
    "NumPy backend / hand-written NumPy": (
        NUMPY_BACKEND,
        [ladder.BY_HAND],
        {"T": 1.05, "S": 1.0, "M": 1.0, "L": 1.0},
    ),
    "Numba backend / best of PyTorch, torch.compile, JAX": (
        NUMBA_BACKEND,
        list(RIVALS),
        {name: AS_FAST[name[0]] for sizes in TRAININGS.values() for name in sizes},
    ),
    "Numba backend / matrix products alone": (
        NUMBA_BACKEND,
        [ladder.PRODUCTS],
        {"T": 1.3, "S": 1.1, "M": 1.1, "L": 1.05},
    ),
}


def reference(workload: str) -> str:
    """Name the contender that the others of a workload are divided by."""
    return MICROGRAD if workload == MOONS else ladder.REFERENCE


def contenders(workload: str, threads: int) -> list[str]:
    """List who runs a workload with so many threads."""
    if workload == MOONS:
        return [*LIBRARY, MICROGRAD]
    rivals = [name for name in RIVALS if threads > 1 or name != JAX_ON_ONE_CORE]
    bounds = [name for name in BOUNDS if name == ladder.PRODUCTS or WORKLOADS[workload].optimizer == "SGD"]
    return [*LIBRARY, *(bounds if workload not in VARIANTS else ()), *rivals]


ACTIVATIONS: dict[str, tuple[Callable[[Any], Any], Callable[[Any], Any]]] = {
    "relu": (lambda z: np.maximum(z, 0), lambda a: a > 0),
    "tanh": (np.tanh, lambda a: 1 - a * a),
    "sigmoid": (lambda z: 1 / (1 + np.exp(-z)), lambda a: a * (1 - a)),
}


def expected(problem: Problem) -> list[float]:
    """Losses of the first steps, as `ladder.losses` gives them, by the chain rule in float64."""
    size = problem.size
    x, count = problem.x.astype(float), len(problem.weights)
    parameters = [array.astype(float) for array in problem.weights + problem.biases]
    activation, slope = ACTIVATIONS[size.activation]
    update, slots = ladder.functional_optimizer(size.optimizer, parameters, 0.0)
    found = []
    for _ in range(ladder.CHECKED_STEPS + 1):
        weights, biases = parameters[:count], parameters[count:]
        inputs = [x]
        for W, b in zip(weights[:-1], biases[:-1]):
            inputs.append(activation(inputs[-1] @ W + b))
        loss, g = _loss_and_gradient(inputs[-1] @ weights[-1] + biases[-1], problem.labels, size.loss)
        gradients = [np.empty(0)] * len(parameters)
        for i in reversed(range(count)):
            gradients[i], gradients[count + i] = inputs[i].T @ g, g.sum(axis=0)
            if i:
                g = g @ weights[i].T * slope(inputs[i])
        if size.loss == "hinge":
            loss += scalars.PENALTY * sum((p * p).sum() for p in parameters)
            gradients = [g + 2 * scalars.PENALTY * p for p, g in zip(parameters, gradients)]
        found.append(float(loss))
        parameters, slots = update(parameters, gradients, slots)
    return found


def _loss_and_gradient(outputs: Any, labels: Any, loss: str) -> tuple[Any, Any]:
    """Give the mean loss of a network's outputs, and its gradient by them."""
    n = len(outputs)
    if loss == "hinge":
        labels = labels.astype(float)
        shortfall = np.maximum(1 - labels * outputs[:, 0], 0)
        return shortfall.mean(), (-labels * (shortfall > 0) / n)[:, np.newaxis]
    exponentials = np.exp(outputs - outputs.max(axis=1, keepdims=True))
    probabilities = exponentials / exponentials.sum(axis=1, keepdims=True)
    of_label = np.arange(n), labels
    g = probabilities / n
    g[of_label] -= 1 / n
    return -np.log(probabilities[of_label]).mean(), g


def seconds(contender: str, size: str, batches: int, batch_seconds: float, in_turns: bool = False) -> dict[str, Any]:
    """Check and time a contender, in turns with the others if it is so asked.

    Returns:
        What `time_batches` gives, the ``"losses"``, and ``"first_call"``: the seconds of the first step, in which a
        compiler works.
    """
    step = CONTENDERS[contender](problem_of(size))
    result: dict[str, Any] = {}
    if contender != ladder.PRODUCTS:
        durations = []

        def timed() -> Any:
            start = time.perf_counter()
            loss = step()
            durations.append(time.perf_counter() - start)
            return loss

        found, wanted = ladder.losses(timed), expected(problem_of(size))
        # The last digits of a loss near zero are lost in the subtraction that gives it.
        if not np.allclose(found, wanted, rtol=ladder.RELATIVE_TOLERANCE, atol=ladder.RELATIVE_TOLERANCE):
            raise WrongResultError(f"losses {found}, in float64 {wanted}")
        result = {"losses": found, "first_call": durations[0]}
    return result | time_batches(step, batches, batch_seconds, in_turns)


def peak_bytes(contender: str, size: str) -> dict[str, Any]:
    """Trace the memory of a contender's steps, parameters included and data not.

    Returns:
        ``"bytes"`` at the peak of a step: NumPy's arrays that were alive before it, and what it allocated on top; and
        ``"first_bytes"``, the same of the first step.
    """
    problem = problem_of(size)
    LIBRARY[contender](Problem.of(Size(1, (1, 2))))()  # what is imported and remembered once is not a step's
    gc.collect()
    tracemalloc.start()
    step = LIBRARY[contender](problem)
    first = _peak(step)
    step()
    steady = _peak(step)
    tracemalloc.stop()
    return {"bytes": steady, "first_bytes": first}


def _peak(step: Step) -> int:
    gc.collect()
    arrays = tracemalloc.DomainFilter(inclusive=True, domain=np.lib.tracemalloc_domain)
    alive = sum(trace.size for trace in tracemalloc.take_snapshot().filter_traces([arrays]).traces)
    tracemalloc.reset_peak()
    before, _ = tracemalloc.get_traced_memory()
    step()
    _, peak = tracemalloc.get_traced_memory()
    return alive + peak - before


def line_seconds(contender: str, size: str) -> dict[str, Any]:
    """Find what each statement of a program takes: ``"lines"``, statements and seconds."""
    return {"lines": lines.profile(problem_of(size), "numba" if contender == NUMBA_BACKEND else "numpy")}


def measure(quantity: str, **task: Any) -> dict[str, Any]:
    """Measure ``"seconds"``, ``"bytes"`` or ``"lines"`` in this process: each would slow down the others.

    Raises:
        WrongResultError: the losses are not those that float64 gives.
    """
    return {"seconds": seconds, "bytes": peak_bytes, "lines": line_seconds}[quantity](**task)
