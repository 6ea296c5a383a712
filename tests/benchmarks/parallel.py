"""A training step by two processes, its Allreduce, and what that would cost on a cluster.

Two processes that ``mpiexec`` starts have a core each, and do all in turns: this library over MPI, by `nn.fit` and by a
loop with `nn.parallel.average_gradients`, or with an Iallreduce for each layer that goes on during the walk back, and
PyTorch's ``DistributedDataParallel`` over gloo. What one process does alone is done by the first of them, while the
other one sleeps.

The cost of an Allreduce follows Thakur, Rabenseifner and Gropp, "Optimization of collective communication operations in
MPICH" (2005): a message takes a latency and the time of its bytes; the ring has 2 (p - 1) of them, each a p-th of the
buffer, and recursive doubling has log2(p) of all of it, which is faster for a small one.
"""

from __future__ import annotations

import itertools
import json
import math
import os
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from tests.benchmarks.ladder import LEARNING_RATE, SIZES, Array, Problem, cross_entropy, our_step
from tests.benchmarks.worker import TIMEOUT, WrongResultError
from tests.ranks import finished, mpiexec

Work = Callable[[int], float]  # takes so many steps, and gives the seconds of one

RANKS = 2
CASES = {  # the rows of all processes, in batches, and how many processes there are
    "one process": (1, 1),
    "two processes, half of the batch each": (1, RANKS),
    "two processes, a batch each": (RANKS, RANKS),
}
ONE, STRONG, WEAK = CASES
SILENT = "two processes, that exchange nothing"
EXCHANGE = "Allreduce"
LATENCY, BANDWIDTH = "Allreduce of a number", "Allreduce of many numbers"
MANY = 2**22

FIT, LOOP = "this library, fit", "this library, average_gradients"
OVERLAPPING, REFERENCE = "this library, Iallreduce by layer", "PyTorch, DistributedDataParallel"
LIMIT = 1.0  # of the first by the last

NETWORKS = {"10 Gbit/s": (30e-6, 1.25e9), "100 Gbit/s": (3e-6, 12.5e9)}  # seconds a message, bytes a second
CLUSTERS = (8, 64, 512)  # ranks
PARAMETERS = (10**4, 10**5, 10**6, 10**7, 10**8)


def allreduce_seconds(ranks: int, size: int, latency: float, bandwidth: float) -> float:
    """Give the time of an Allreduce of so many bytes by the faster of the two ways.

    Example:
        >>> allreduce_seconds(2, 10**6, latency=1e-6, bandwidth=1e9)
        0.001001
    """
    ring = 2 * (ranks - 1) * (latency + size / ranks / bandwidth)
    doubling = math.ceil(math.log2(ranks)) * (latency + size / bandwidth)
    return min(ring, doubling)


def parameters_of(size: str) -> int:
    """Count the numbers of a network, all of which are exchanged in a step."""
    widths = SIZES[size].widths
    return sum((n + 1) * m for n, m in itertools.pairwise(widths))


def flops(parameters: int, rows: float) -> float:
    """Count the operations of a step: a product and a sum for each number and row, forward, and twice that backward."""
    return 6 * parameters * rows


def rows_where_it_stops_paying(ranks: int, parameters: int, exchange: float, speed: float) -> tuple[float, float]:
    """Give two bounds below which a batch is too small.

    Args:
        ranks: how many.
        parameters: of the network.
        exchange: seconds of an Allreduce.
        speed: operations a second of a rank.

    Returns:
        The rows of all ranks with which they are no faster than a single one with all of these rows; and the rows of
        each with which the exchange takes as long as the computation.
    """
    rows = exchange * speed / flops(parameters, 1)
    return rows / (1 - 1 / ranks), rows


def fit(problem: Problem, comm: Any, longer: int = 4) -> tuple[Work, Callable[[], list[Array]]]:
    """`nn.fit`, compiled, in its second epoch; so many times as long as a loop, since ranks compare models in each."""
    import nn

    model: Any = None

    def work(steps: int) -> float:
        nonlocal model
        _, (model, optimizer) = our_step(problem, cross_entropy)
        steps *= longer
        X, y = np.tile(problem.x, (steps, 1)), np.tile(problem.labels, steps)
        history = nn.fit(
            model, X, y, optimizer=optimizer, epochs=2, batch_size=problem.size.batch, compile=True, rng=0, comm=comm
        )  # fmt: skip
        return history.seconds[-1] / steps

    return work, lambda: [parameter.data for parameter in model.parameters()]


def loop(problem: Problem, comm: Any) -> tuple[Work, Callable[[], list[Array]]]:
    """A loop as one writes it, with the same rows in each step."""
    import nn

    _, (model, optimizer) = our_step(problem, cross_entropy)
    x, labels = problem.x, problem.labels
    if comm is not None:
        x, labels = nn.parallel.shard(x, labels, comm=comm)

    def step() -> None:
        optimizer.zero_grad()
        cross_entropy(model, x, labels).backward()
        if comm is not None:
            nn.parallel.average_gradients(model, comm=comm)
        optimizer.step()

    return timed(step), lambda: [parameter.data for parameter in model.parameters()]


def overlapping(problem: Problem, comm: Any) -> tuple[Work, Callable[[], list[Array]]]:
    """The loop with an Iallreduce for each layer, begun by hooks as soon as its gradients are there."""
    from mpi4py import MPI

    import nn

    comm = comm or MPI.COMM_SELF
    _, (model, optimizer) = our_step(problem, cross_entropy)
    x, labels = nn.parallel.shard(problem.x, problem.labels, comm=comm)
    parameters = model.parameters()  # a weight and a bias for each layer
    ends = list(itertools.accumulate(parameter.size for parameter in parameters))
    flat = np.zeros(ends[-1], np.float32)
    means = [flat[end - p.size : end].reshape(p.shape) for end, p in zip(ends, parameters)]
    layers = [flat[start:end] for start, end in zip([0, *ends[1::2]], ends[1::2])]
    arrived: set[int] = set()
    requests: list[Any] = []

    def arrive(k: int, gradient: Array) -> None:
        np.divide(gradient, comm.size, out=means[k])
        MPI.Request.Testall(requests)  # what is under way proceeds in calls of MPI alone
        arrived.add(k)
        if {k, k ^ 1} <= arrived:
            requests.append(comm.Iallreduce(MPI.IN_PLACE, layers[k // 2]))

    for k, parameter in enumerate(parameters):
        parameter.register_hook(partial(arrive, k))

    def step() -> None:
        optimizer.zero_grad()
        cross_entropy(model, x, labels).backward()
        MPI.Request.Waitall(requests)
        requests.clear()
        arrived.clear()
        for parameter, mean in zip(parameters, means):
            parameter.grad = mean
        optimizer.step()

    return timed(step), lambda: [parameter.data for parameter in parameters]


def torch(problem: Problem, comm: Any) -> tuple[Work, Callable[[], list[Array]]]:
    """The same loop in PyTorch."""
    import torch

    layers: list[Any] = []
    for W, b in zip(problem.weights, problem.biases):
        linear = torch.nn.Linear(*W.shape)
        with torch.no_grad():
            linear.weight.copy_(torch.from_numpy(W.T))
            linear.bias.copy_(torch.from_numpy(b))
        layers += [linear, torch.nn.ReLU()]
    model: Any = torch.nn.Sequential(*layers[:-1])
    rows = slice(None)
    if comm is not None:
        model = torch.nn.parallel.DistributedDataParallel(model)
        rows = slice(comm.rank, None, comm.size)
    x, labels = torch.from_numpy(problem.x[rows]), torch.from_numpy(problem.labels[rows])
    optimizer = torch.optim.SGD(model.parameters(), lr=LEARNING_RATE)

    def step() -> None:
        optimizer.zero_grad()
        torch.nn.functional.cross_entropy(model(x), labels).backward()
        optimizer.step()

    return timed(step), lambda: [parameter.detach().numpy().T for parameter in model.parameters()]


CONTENDERS = {FIT: fit, LOOP: loop, OVERLAPPING: overlapping, REFERENCE: torch}


def timed(step: Callable[[], Any]) -> Work:
    """Let a function be called some times, after once for warming up."""

    def work(steps: int) -> float:
        step()
        start = time.perf_counter()
        for _ in range(steps):
            step()
        return (time.perf_counter() - start) / steps

    return work


def measure(size: str, batches: int, batch_seconds: float) -> dict[str, Any]:
    """Time all contenders with a network of the ladder, in two other processes.

    Returns:
        The ``"seconds"`` of a step in each batch, for each contender and case, of an Allreduce of as many numbers as
        there are gradients, and of a very small and a very large one. Without PyTorch, its are missing.

    Raises:
        WrongResultError: weights are not those that a single process of this library comes to.
    """
    import mpi4py  # noqa: F401  # or say that it is not installed

    with tempfile.TemporaryDirectory() as folder:
        task = {"size": size, "batches": batches, "batch_seconds": batch_seconds, "folder": folder}
        # Each has a core, on which it may wait as it does on a machine of its own.
        command = mpiexec(RANKS, "--bind-to", "none", "--mca", "mpi_yield_when_idle", "0")
        status, _, errors = finished([*command, sys.executable, "-m", __name__, json.dumps(task)], TIMEOUT)
        if status:
            raise RuntimeError(errors.strip())
        result: dict[str, Any] = json.loads(Path(folder, "result").read_text())
    if "wrong" in result:
        raise WrongResultError(result["wrong"])
    return result


def be_a_rank(size: str, batches: int, batch_seconds: float, folder: str) -> None:
    """Take turns with the other process, and let the first of them write down the result."""
    from mpi4py import MPI

    comm = MPI.COMM_WORLD
    if hasattr(os, "sched_setaffinity"):
        cores = sorted(os.sched_getaffinity(0))
        os.sched_setaffinity(0, [cores[comm.rank % len(cores)]])
    contenders = [name for name in CONTENDERS if name != REFERENCE or has_torch(comm, folder)]
    wrong = [problem for name in contenders if (problem := check(name, size, comm))]

    works: dict[str, tuple[int, Work]] = {}
    for case, (times, ranks) in CASES.items():
        problem = Problem.of(replace(SIZES[size], batch=times * SIZES[size].batch))
        for name in contenders:
            works[key(name, case)] = ranks, CONTENDERS[name](problem, comm if ranks > 1 else None)[0]
    works[key(LOOP, SILENT)] = RANKS, loop(Problem.of(SIZES[size]), None)[0]
    for name, numbers in ((EXCHANGE, parameters_of(size)), (LATENCY, 1), (BANDWIDTH, MANY)):
        buffer = np.zeros(numbers, np.float32)
        works[name] = RANKS, timed(lambda buffer=buffer: comm.Allreduce(MPI.IN_PLACE, buffer))

    seconds: dict[str, list[float]] = {name: [] for name in works}
    steps = dict.fromkeys(works, 2)
    for number in range(batches + 1):
        for name, (ranks, work) in works.items():
            taken = work(steps[name]) if comm.rank < ranks else math.nan
            sleep_until_all_are_here(comm)
            if number == 0:  # which warms up, and says how many steps make a batch
                steps[name] = max(2, math.ceil(batch_seconds / comm.bcast(taken)))
            else:
                seconds[name].append(taken)
    if comm.rank == 0:
        Path(folder, "result").write_text(json.dumps({"wrong": "; ".join(wrong)} if wrong else {"seconds": seconds}))


def key(name: str, case: str = "") -> str:
    """Name what is timed: a contender in a case, or one thing alone."""
    return f"{name}: {case}" if case else name


def has_torch(comm: Any, folder: str) -> bool:
    """Let PyTorch know of the processes, and say whether it is there."""
    os.environ["GLOO_SOCKET_IFNAME"] = "lo"
    try:
        import torch.distributed
    except ModuleNotFoundError:
        return False
    torch.set_num_threads(1)
    store = f"file://{folder}/store"
    torch.distributed.init_process_group("gloo", init_method=store, rank=comm.rank, world_size=comm.size)
    return True


def check(name: str, size: str, comm: Any) -> str:
    """Say what is wrong with the weights that two processes come to in two steps."""
    expected, actual = [], []
    for weights, one, among in ((expected, LOOP, None), (actual, name, comm)):
        make = partial(fit, longer=1) if one == FIT else CONTENDERS[one]  # all rows in each step
        work, values = make(Problem.of(SIZES[size]), among)
        work(1)
        weights += values()
    for k, (own, other) in enumerate(zip(actual, expected, strict=True)):
        if not np.allclose(own, other, rtol=1e-4, atol=1e-5):
            return f"{name}, {size}: parameter {k} is off by {np.abs(own - other).max():.2g}"
    return ""


def sleep_until_all_are_here(comm: Any) -> None:
    """Wait as a barrier does, which would keep the core busy."""
    request = comm.Ibarrier()
    while not request.Test():
        time.sleep(5e-4)


if __name__ == "__main__":
    be_a_rank(**json.loads(sys.argv[1]))
