# %% [markdown]
# # Larger than memory: the gradient of a loss over rows that no process could hold, chunk by chunk, on a cluster
#
# The loss of all rows is a mean, and so is its gradient,
#
# $$L(\theta) = \frac{1}{N} \sum_i l(\theta; x_i, y_i), \quad
# \nabla L(\theta) = \frac{1}{N} \sum_i \nabla l(\theta; x_i, y_i),$$
#
# so it can be summed up from chunks of rows, each of which is made, used and forgotten.

# %%
import asyncio
import contextlib
import logging
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
from matplotlib.figure import Figure

import autodiff as ad
import nn
from autodiff.extras import install
from demos import chapter

try:
    import dask
    import dask.array as da
    from dask.distributed import Client, LocalCluster
    from distributed.comm import connect
except ImportError:
    raise ImportError(f"larger_than_memory needs Dask: {install('distributed')}") from None

MIB = 2**20
WORKERS, MEMORY, TIMES = 2, 320 * MIB, 4  # processes, what each may use, and the data as a multiple of that of all
FEATURES, ROWS = 128, 3 * 2**13  # of a chunk
CHUNK = 8 * FEATURES * ROWS  # bytes
CHUNKS = -(-TIMES * WORKERS * MEMORY // CHUNK)

number = f"of {CHUNK // MIB} MiB each (default: {CHUNKS})"
options = chapter.begin(
    "larger_than_memory",
    chapter.flag("--address", help="of the scheduler of a cluster (default: two processes are started here)"),
    chapter.flag("--chunks", chapter.positive, default=CHUNKS, help=number),
)

# %% [markdown]
# ## A cluster
#
# Dask's scheduler deals the tasks out, to two processes here, which may use a quarter of the memory that the data would
# take and need a minute or two, or to the machines of a cluster:
#
#     python -m demos.larger_than_memory --address tcp://scheduler:8786

# %%
GONE = "60s"  # how long a step waits for a worker, where all are lost


async def answers(address):
    """Knock at an address; an OSError or a ValueError says why nobody is there."""
    comm = await connect(address, timeout=5)
    await comm.close()


@contextlib.contextmanager
def connected(address):
    """Give a client of the cluster at an address, or of two processes that are started for it.

    Where all workers are lost, Dask waits for others to come, as long as its scheduler has been told.
    """
    if address is not None:
        # Else a client that reaches nobody stays what Dask asks from then on; in a thread, as a notebook has a loop.
        with ThreadPoolExecutor() as threads:
            threads.submit(asyncio.run, answers(address)).result()
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


# %% [markdown]
# ## The data
#
# Chunks are drawn from a seed and their number, so that it does not matter who makes one, nor how often: when a process
# is lost, another one makes its chunks again, and the step goes on.


# %%
def inputs(seed, count, block_id=(0, 0)):
    """Draw the rows of a chunk, from the seed and its number."""
    X = np.random.default_rng([seed, block_id[0]]).random((count, FEATURES))
    X -= 0.5
    return X


def labels(X, seed, block_id=(0, 0)):
    """Give 1 to the rows on one side of a bent surface, and 0 to the others, a tenth of them by mistake."""
    line, bend = np.random.default_rng(seed).normal(size=(2, FEATURES))
    mistaken = np.random.default_rng([seed, block_id[0], 1]).random(len(X)) < 0.1
    return ((X @ line + np.abs(X @ bend) > 2) ^ mistaken)[:, None].astype(np.float64)


# %% [markdown]
# A Dask array is such chunks, not computed yet.


# %%
def rows(chunks, seed, of_chunk=ROWS):
    """Give the rows of the data and their labels, of which no number is computed yet."""
    sizes = ((of_chunk,) * chunks, (FEATURES,))
    X = da.map_blocks(inputs, seed, of_chunk, chunks=sizes, dtype=np.float64, meta=np.empty((0, 0)))
    return X, X.map_blocks(labels, seed, chunks=(sizes[0], (1,)), dtype=np.float64, meta=np.empty((0, 0)))


def limit(dask_worker):
    """Give the memory that a worker may use, or 0 if nobody told it."""
    return dask_worker.memory_manager.memory_limit or 0


# %%
try:
    client = chapter.enter(connected(options.address))
except (OSError, ValueError) as error:
    chapter.refuse(f"argument --address: no scheduler answers at {options.address}: {error}")
limits = list(client.run(limit).values())
if not limits:
    chapter.refuse(f"argument --address: the cluster at {options.address} has no workers")
X, y = rows(options.chunks, options.seed)
print(f"data            {X.nbytes / MIB:,.0f} MiB in {options.chunks} chunks")
print(f"memory allowed  {sum(limits) / MIB:,.0f} MiB of {len(limits)} workers together")

# %% [markdown]
# ## The gradient
#
# To say so takes nothing. The model and the loss are NumPy calls, and of a Dask array Dask answers them, with more that
# is not computed yet; the rules of the gradient are NumPy calls as well. What comes out is a graph of tasks for the
# loss and for each gradient, and `ad.materialize((loss, model))` computes all of them in one pass: a chunk is made once
# for all that need it.

# %%
HIDDEN, PASSES, RATE = 8, 3, 4.0
MODELS = {
    "logistic regression": lambda seed: nn.MLP([FEATURES, 1], rng=seed, dtype=np.float64),
    "MLP": lambda seed: nn.MLP([FEATURES, HIDDEN, 1], activation="tanh", rng=seed, dtype=np.float64),
}


def loss_of(model, X, y):
    """Give the mean loss over all rows."""
    return nn.functional.binary_cross_entropy_with_logits(model(X), y)


def gradient_descent(model, X, y):
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
    return losses


# %% [markdown]
# A method that looks at all rows for one step should step well. Gradient descent follows the slope; L-BFGS learns from
# the slopes that it has seen how the surface bends, and gets further in as many passes over the data.


# %%
def lbfgs(model, X, y):
    """Take steps by L-BFGS, and give the loss at each place that it looked at."""
    losses = []

    def loss():
        losses.append(loss_of(model, X, y))
        return losses[-1]

    nn.optim.minimize(loss, model.parameters(), maxfun=PASSES - 1)  # one more is for the first step
    return [loss.item() for loss in losses]


METHODS = {"gradient descent": gradient_descent, "L-BFGS": lbfgs}

losses = {}
print("                                      loss at first     last   seconds a pass")
for name, make in MODELS.items():
    for method, train in METHODS.items():
        start = time.perf_counter()
        curve = losses[name, method] = train(make(options.seed), X, y)
        seconds = (time.perf_counter() - start) / len(curve)
        print(f"{name:20} {method:17} {curve[0]:12.4f} {curve[-1]:8.4f} {seconds:16.2f}", flush=True)

# %% [markdown]
# On few rows, which also fit into memory, the same steps are taken with and without chunks.

# %%
FEW = 2**10  # rows of a chunk

lazy = rows(4, options.seed, FEW)
in_memory = ad.materialize(lazy)
difference = 0.0
for make in MODELS.values():
    for train in METHODS.values():
        chunked, plain = make(options.seed), make(options.seed)
        train(chunked, *lazy)
        train(plain, *in_memory)
        for one, other in zip(chunked.parameters(), plain.parameters(), strict=True):
            difference = max(difference, float(np.abs(one.data - other.data).max()))
print(f"of {4 * FEW:,} rows, parameters differ from those of the same steps in memory by {difference:.0e}")

# %% [markdown]
# ## The memory
#
# No process has held more than a few chunks at once.


# %%
def peak():
    """Give the most memory that this process has held at once."""
    if sys.platform == "linux":  # where the next way would count what was there before the process began
        with open("/proc/self/status") as status:
            return next(1024 * int(line.split()[1]) for line in status if line.startswith("VmHWM"))
    import resource

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss  # macOS counts bytes


peaks, own_peak = list(client.run(peak).values()), peak()
for whose, most in (("each worker", max(peaks)), ("this process", own_peak)):
    print(f"peak memory of {whose:12} {most / MIB:,.0f} MiB, of {max(limits) / MIB:,.0f} MiB that a worker may use")

# %% [markdown]
# ## The graph of tasks
#
# How many tasks a step takes grows with the chunks, and no faster.

# %%
COUNTED = (16, 32, 64, 128)  # chunks


def tasks(model, chunks):
    """Count the tasks that the loss and all gradients take together."""
    loss = loss_of(model, *rows(chunks, 0))
    loss.backward()
    lazy = dask.optimize(loss.data, *(parameter.grad for parameter in model.parameters()))
    return len({key for array in lazy for key in array.__dask_graph__()})


counts = {name: [tasks(make(0), chunks) for chunks in COUNTED] for name, make in MODELS.items()}
print("tasks of a step      " + "".join(f"{chunks:7}" for chunks in COUNTED) + " chunks")
for name, numbers in counts.items():
    print(f"{name:21}" + "".join(f"{number:7}" for number in numbers) + f" {numbers[-1] / COUNTED[-1]:6.1f} a chunk")

# %% [markdown]
# The picture shows the losses, the memory beside that of the data, and how the graph grows.

# %%
figure = Figure(figsize=(9, 3.4), layout="constrained")
left, middle, right = figure.subplots(1, 3)
colors = dict(zip(MODELS, (chapter.BLUE, chapter.ORANGE)))
lines = dict(zip(METHODS, ("--", "-")))
for (name, method), curve in losses.items():
    left.plot(range(1, len(curve) + 1), curve, "o" + lines[method], color=colors[name], markersize=3)
for name, color in colors.items():
    left.plot([], [], "o", color=color, label=name)
for method, line in lines.items():
    left.plot([], [], line, color="black", label=method)
left.legend(fontsize=8, loc="lower left")
left.set(xlabel="passes over the data", title="Loss")
left.set_xticks(range(1, PASSES + 1))

names = ["data", "allowed", *(f"worker {k}" for k in range(1, len(peaks) + 1)), "this process"]
amounts = np.array([X.nbytes, sum(limits), *peaks, own_peak]) / MIB
bars = middle.barh(names, amounts, color=[chapter.GREY, chapter.GREY, *[chapter.BLUE] * (len(peaks) + 1)])
middle.bar_label(bars, fmt="{:,.0f}", fontsize=8, padding=2)
middle.invert_yaxis()
middle.margins(x=0.2)
middle.set(xlabel="MiB", title="Peak memory")

for name, numbers in counts.items():
    right.plot(COUNTED, numbers, "o-", color=colors[name], markersize=3, label=name)
right.legend(fontsize=8)
right.set(xlabel="chunks", title="Tasks of a step", xlim=0, ylim=0)
for ax in (left, middle, right):
    ax.spines[["top", "right"]].set_visible(False)
chapter.show(figure, "larger_than_memory.png")
