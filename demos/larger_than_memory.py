"""Larger than memory: the gradient of a loss over rows that no process could hold, chunk by chunk, on a cluster.

The loss of all rows is a mean, and so is its gradient,

    L(θ) = 1/N Σᵢ l(θ; xᵢ, yᵢ),    ∇L(θ) = 1/N Σᵢ ∇l(θ; xᵢ, yᵢ),

so it can be summed up from chunks of rows, each of which is made, used and forgotten. To say so takes nothing: a Dask
array is such chunks, not computed yet. The model and the loss are NumPy calls, and of a Dask array Dask answers them,
with more that is not computed yet; the rules of the gradient are NumPy calls as well. What comes out is a graph of
tasks for the loss and for each gradient, and

    loss = nn.functional.binary_cross_entropy_with_logits(model(X), y)
    loss.backward()
    ad.materialize((loss, model))    # the loss, and the gradient of each parameter

computes all of them in one pass: a chunk is made once for all that need it. Dask's scheduler deals the tasks out, to
two processes here, which may use a quarter of the memory that the data would take and need a minute or two, or to the
machines of a cluster:

    python -m demos.larger_than_memory --address tcp://scheduler:8786

A method that looks at all rows for one step should step well. Gradient descent follows the slope; L-BFGS learns from
the slopes that it has seen how the surface bends, and gets further in as many passes over the data.

Chunks are drawn from a seed and their number, so that it does not matter who makes one, nor how often: when a process
is lost, another one makes its chunks again, and the step goes on.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
from tqdm.auto import tqdm

import autodiff as ad
import nn

try:
    import dask
    import dask.array as da
    from dask.distributed import Client, LocalCluster
    from distributed.comm import connect
except ImportError:
    raise ImportError('larger_than_memory needs Dask: pip install -e ".[demos,distributed]"') from None

MIB = 2**20
WORKERS, MEMORY, TIMES = 2, 320 * MIB, 4  # processes, what each may use, and the data as a multiple of that of all
FEATURES, ROWS = 128, 3 * 2**13  # of a chunk
CHUNK = 8 * FEATURES * ROWS  # bytes
CHUNKS = -(-TIMES * WORKERS * MEMORY // CHUNK)
HIDDEN, PASSES, RATE = 8, 3, 4.0
FEW = 2**10  # rows of a chunk, where all of them also fit into memory
COUNTED = (16, 32, 64, 128)  # chunks of graphs whose tasks are counted
GONE = "60s"  # how long a step waits for a worker, where all are lost
MODELS: dict[str, Callable[[int], nn.MLP]] = {
    "logistic regression": lambda seed: nn.MLP([FEATURES, 1], rng=seed, dtype=np.float64),
    "MLP": lambda seed: nn.MLP([FEATURES, HIDDEN, 1], activation="tanh", rng=seed, dtype=np.float64),
}


def main(arguments: Sequence[str] | None = None) -> dict[str, Any]:
    """Run the chapter, and give the figures that it is about."""
    from demos import chapter  # not above: a worker that was started here imports this file, and draws nothing

    parser = chapter.Parser("larger_than_memory", __doc__)
    number = f"of {CHUNK // MIB} MiB each (default: {CHUNKS})"
    parser.add_argument("--address", help="of the scheduler of a cluster (default: two processes are started here)")
    parser.add_argument("--chunks", type=chapter.positive, default=CHUNKS, metavar="N", help=number)
    options = parser.parse(arguments)
    with contextlib.ExitStack() as stack:
        try:
            client = stack.enter_context(connected(options.address))
        except (OSError, ValueError) as error:
            parser.error(f"argument --address: no scheduler answers at {options.address}: {error}")
        limits = list(client.run(limit).values())
        if not limits:
            parser.error(f"argument --address: the cluster at {options.address} has no workers")
        X, y = rows(options.chunks, options.seed)
        print(f"data            {X.nbytes / MIB:,.0f} MiB in {options.chunks} chunks")
        print(f"memory allowed  {sum(limits) / MIB:,.0f} MiB of {len(limits)} workers together")
        losses = trained(X, y, options.seed)
        difference = difference_in_memory(options.seed)
        print(f"\nof {4 * FEW:,} rows, parameters differ from those of the same steps in memory by {difference:.0e}")
        peaks, own = list(client.run(peak).values()), peak()
    for whose, most, allowed in [("each worker", max(peaks), max(limits)), ("this process", own, max(limits))]:
        print(f"peak memory of {whose:12} {most / MIB:,.0f} MiB, of {allowed / MIB:,.0f} MiB that a worker may use")
    counts = {name: [tasks(make(0), chunks) for chunks in COUNTED] for name, make in MODELS.items()}
    print("\ntasks of a step      " + "".join(f"{chunks:7}" for chunks in COUNTED) + " chunks")
    for name, numbers in counts.items():
        print(
            f"{name:21}" + "".join(f"{number:7}" for number in numbers) + f" {numbers[-1] / COUNTED[-1]:6.1f} a chunk"
        )
    figure = draw(losses, counts, X.nbytes, limits, peaks, own)
    chapter.save(figure, options.output, "larger_than_memory.png")
    return {
        "losses": losses, "difference": difference, "counts": counts,
        "limits": limits, "peaks": peaks, "own_peak": own, "bytes": X.nbytes,
    }  # fmt: skip


def rows(chunks: int, seed: int, of_chunk: int = ROWS) -> tuple[Any, Any]:
    """Give the rows of the data and their labels, of which no number is computed yet."""
    sizes = ((of_chunk,) * chunks, (FEATURES,))
    X = da.map_blocks(inputs, seed, of_chunk, chunks=sizes, dtype=np.float64, meta=np.empty((0, 0)))
    return X, X.map_blocks(labels, seed, chunks=(sizes[0], (1,)), dtype=np.float64, meta=np.empty((0, 0)))


def inputs(seed: int, count: int, block_id: tuple[int, ...] = (0, 0)) -> Any:
    """Draw the rows of a chunk, from the seed and its number."""
    X = np.random.default_rng([seed, block_id[0]]).random((count, FEATURES))
    X -= 0.5
    return X


def labels(X: Any, seed: int, block_id: tuple[int, ...] = (0, 0)) -> Any:
    """Give 1 to the rows on one side of a bent surface, and 0 to the others, a tenth of them by mistake."""
    line, bend = np.random.default_rng(seed).normal(size=(2, FEATURES))
    mistaken = np.random.default_rng([seed, block_id[0], 1]).random(len(X)) < 0.1
    return ((X @ line + np.abs(X @ bend) > 2) ^ mistaken)[:, None].astype(np.float64)


def loss_of(model: nn.MLP, X: Any, y: Any) -> Any:
    """Give the mean loss over all rows."""
    return nn.functional.binary_cross_entropy_with_logits(model(X), y)


def gradient_descent(model: nn.MLP, X: Any, y: Any, seen: Callable[[], Any]) -> list[float]:
    """Take steps along the slope, and give the loss before each."""
    optimizer = nn.optim.SGD(model.parameters(), lr=RATE)
    losses = []
    for _ in range(PASSES):
        optimizer.zero_grad()
        loss = loss_of(model, X, y)
        loss.backward()
        ad.materialize((loss, model))
        optimizer.step()
        losses.append(loss.item())
        seen()
    return losses


def lbfgs(model: nn.MLP, X: Any, y: Any, seen: Callable[[], Any]) -> list[float]:
    """Take steps by L-BFGS, and give the loss at each place that it looked at."""
    losses: list[Any] = []

    def loss() -> Any:
        seen()
        losses.append(loss_of(model, X, y))
        return losses[-1]

    nn.optim.minimize(loss, model.parameters(), maxfun=PASSES - 1)  # one more is for the first step
    return [loss.item() for loss in losses]


METHODS = {"gradient descent": gradient_descent, "L-BFGS": lbfgs}
LINES = {"gradient descent": "--", "L-BFGS": "-"}


def trained(X: Any, y: Any, seed: int) -> dict[tuple[str, str], list[float]]:
    """Train each model by each method, and give the losses."""
    losses = {}
    table = ["\n                                         loss at first     last    seconds a pass"]
    with tqdm(total=len(MODELS) * len(METHODS) * PASSES, unit="pass", disable=None) as bar:
        for name, make in MODELS.items():
            for method, run in METHODS.items():
                bar.set_description(f"{name}, {method}")
                start = time.perf_counter()
                curve = losses[name, method] = run(make(seed), X, y, bar.update)
                seconds = (time.perf_counter() - start) / len(curve)
                table.append(f"{name:20} {method:19} {curve[0]:13.4f} {curve[-1]:8.4f} {seconds:17.2f}")
    print("\n".join(table))
    return losses


def difference_in_memory(seed: int) -> float:
    """Give the largest difference of a parameter when few rows are used in chunks and, the same, in memory."""
    lazy = rows(4, seed, FEW)
    in_memory = ad.materialize(lazy)
    largest = 0.0
    for make in MODELS.values():
        for run in METHODS.values():
            chunked, plain = make(seed), make(seed)
            run(chunked, *lazy, lambda: None)
            run(plain, *in_memory, lambda: None)
            for one, other in zip(chunked.parameters(), plain.parameters(), strict=True):
                largest = max(largest, float(np.abs(one.data - other.data).max()))
    return largest


def tasks(model: nn.MLP, chunks: int) -> int:
    """Count the tasks that the loss and all gradients take together."""
    loss = loss_of(model, *rows(chunks, 0))
    loss.backward()
    lazy = dask.optimize(loss.data, *(parameter.grad for parameter in model.parameters()))
    return len({key for array in lazy for key in array.__dask_graph__()})


@contextlib.contextmanager
def connected(address: str | None) -> Iterator[Client]:
    """Give a client of the cluster at an address, or of two processes that are started for it.

    Where all workers are lost, Dask waits for others to come, as long as its scheduler has been told.
    """
    if address is not None:
        asyncio.run(answers(address))  # else a client that reaches nobody stays what Dask asks from then on
        with Client(address) as client:
            yield client
        return
    with (
        dask.config.set({"distributed.scheduler.no-workers-timeout": GONE}),
        tempfile.TemporaryDirectory() as folder,
        LocalCluster(
            n_workers=WORKERS,
            threads_per_worker=1,
            memory_limit=MEMORY,
            dashboard_address="127.0.0.1:0",  # any port: the usual one may be taken
            local_directory=folder,
            silence_logs=logging.CRITICAL,
        ) as cluster,  # fmt: skip
        Client(cluster) as client,
    ):
        yield client


async def answers(address: str) -> None:
    """Knock at an address; an OSError or a ValueError says why nobody is there."""
    comm = await connect(address, timeout=5)
    await comm.close()


def limit(dask_worker: Any) -> int:
    """Give the memory that a worker may use, or 0 if nobody told it."""
    return dask_worker.memory_manager.memory_limit or 0


def peak() -> int:
    """Give the most memory that this process has held at once."""
    if sys.platform == "linux":  # where the next way would count what was there before the process began
        with open("/proc/self/status") as status:
            return next(1024 * int(line.split()[1]) for line in status if line.startswith("VmHWM"))
    import resource

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss  # macOS counts bytes


def draw(losses: Any, counts: Any, size: int, limits: list[int], peaks: list[int], own: int) -> Any:
    """Show the losses, the memory beside that of the data, and how the graph grows."""
    from matplotlib.figure import Figure

    from demos import chapter

    figure = Figure(figsize=(9, 3.4), layout="constrained")
    left, middle, right = figure.subplots(1, 3)
    colors = dict(zip(MODELS, (chapter.BLUE, chapter.ORANGE)))
    for (name, method), curve in losses.items():
        left.plot(range(1, len(curve) + 1), curve, "o" + LINES[method], color=colors[name], markersize=3)
    for name, color in colors.items():
        left.plot([], [], "o", color=color, label=name)
    for method, line in LINES.items():
        left.plot([], [], line, color="black", label=method)
    left.legend(fontsize=6, loc="lower left")
    left.set(xlabel="passes over the data", title="Loss")
    left.set_xticks(range(1, PASSES + 1))
    names = ["data", "allowed", *(f"worker {k}" for k in range(1, len(peaks) + 1)), "this process"]
    amounts = np.array([size, sum(limits), *peaks, own]) / MIB
    bars = middle.barh(names, amounts, color=[chapter.GREY, chapter.GREY, *[chapter.BLUE] * (len(peaks) + 1)])
    middle.bar_label(bars, fmt="{:,.0f}", fontsize=7, padding=2)
    middle.invert_yaxis()
    middle.margins(x=0.2)
    middle.set(xlabel="MiB", title="Peak memory")
    for name, numbers in counts.items():
        right.plot(COUNTED, numbers, "o-", color=colors[name], markersize=3, label=name)
    right.legend(fontsize=7)
    right.set(xlabel="chunks", title="Tasks of a step", xlim=0, ylim=0)
    for ax in (left, middle, right):
        ax.spines[["top", "right"]].set_visible(False)
    return figure


if __name__ == "__main__":
    main()
