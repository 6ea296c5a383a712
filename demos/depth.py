"""Depth: how many neurons a network of one to four hidden layers needs for the same error on the same function.

A layer bends its input, and the next one bends what is bent already. The tent map T(u) = 1 - |2u - 1| on [0, 1] takes
two rectifiers,

    T(u) = 2 relu(u) - 4 relu(u - 1/2),

and T applied k times is a sawtooth of 2ᵏ straight pieces. Two neurons a layer, k layers deep, are exactly this
function: each further layer doubles the pieces. In one hidden layer every neuron adds one bend, so that as many neurons
are needed as there are pieces. With L layers, each of which does its share of the k foldings,

    neurons = L 2^(k / L),

which for k = 4 is 16, 8 and 8 for L = 1, 2 and 4. The gap grows as fast as 2ᵏ: Telgarsky, Benefits of depth in neural
networks (2016), theorem 1.1. The weights of such networks are written down below, and the error is zero.

That such weights exist is one thing, that training finds them another. So networks of one to four layers of tanh are
trained on one function that has detail at several scales,

    f(x) = Σₖ cos(2ᵏ π x) / 2ᵏ,    k = 0, ..., 3,

(Weierstrass's, cut off), by L-BFGS on the mean squared error, each from several seeds. The error is the root mean
square between the training points, as a share of f's standard deviation. For every depth it falls as neurons are added,
but for one hidden layer it falls more slowly: to come below the same error takes one and a half to three times as many
neurons as two layers need, with the seeds that were tried. Part of that is the number of steps: more of them help the
single layer most.

Beyond the second layer little is gained here, and some trainings of the deepest networks get stuck: their seeds scatter
more. Depth pays where the function is made in steps and training finds the steps; it is no gain for its own sake.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from threadpoolctl import threadpool_limits

import nn
from demos import chapter

FOLDINGS = 4
DECAY, SCALES = 0.5, 4
NEURONS = {1: (8, 12, 16, 24, 34), 2: (8, 12, 16), 3: (9, 12, 16), 4: (12, 16, 20)}
SEEDS = 5
ERROR = 0.05  # the error that all depths are to reach
POINTS, ITERATIONS = 129, 1500


def main(arguments: Sequence[str] | None = None) -> dict[str, Any]:
    """Run the chapter, and give the figures that it is about."""
    options = chapter.Parser("depth", __doc__).parse(arguments)

    u = np.linspace(0, 1, 1001)
    print(f"the tent map folded {FOLDINGS} times, {2**FOLDINGS} straight pieces, with weights written down")
    built = {}
    for depth in (1, 2, 4):
        model = sawtooth(depth)
        neurons = sum(layer.out_features for layer in model.layers[:-1] if isinstance(layer, nn.Linear))
        built[depth] = neurons, float(np.abs(model(u[:, None]).data[:, 0] - folded(u, FOLDINGS)).max())
        print(f"  {depth} hidden layer{'s' * (depth > 1)}: {neurons:2} neurons, largest error {built[depth][1]:.0e}")

    print(f"\na function with detail at {SCALES} scales, trained from {SEEDS} seeds: relative error, median (all)")
    seeds = [SEEDS * options.seed + k for k in range(SEEDS)]
    with threadpool_limits(1):  # products of such small matrices are slower with several threads
        errors = {
            depth: {neurons: [trained(depth, neurons, seed) for seed in seeds] for neurons in sizes}
            for depth, sizes in NEURONS.items()
        }
    for depth, by_size in errors.items():
        for neurons, found in by_size.items():
            each = " ".join(f"{error:.3f}" for error in sorted(found))
            print(f"  depth {depth}, {neurons:2} neurons: {np.median(found):.3f} ({each})")
    needed = {depth: neurons_for(by_size) for depth, by_size in errors.items()}
    print(f"\nneurons for a median error of at most {ERROR}")
    for depth, neurons in needed.items():
        print(f"  depth {depth}: {neurons}")
    chapter.save(draw(errors, needed), options.output, "depth.png")
    return {"built": built, "errors": errors, "needed": needed}


def folded(u: Any, times: int) -> Any:
    """Apply the tent map several times."""
    for _ in range(times):
        u = 1 - np.abs(2 * u - 1)
    return u


def sawtooth(depth: int) -> nn.MLP:
    """Write down the network of rectifiers that is the tent map folded ``FOLDINGS`` times, in equal shares."""
    pieces = 2 ** (FOLDINGS // depth)
    model = nn.MLP([1, *[pieces] * depth, 1], activation="relu", dtype=np.float64, rng=0)
    # relu(u - k / pieces) for each piece, and how much the slope changes where it begins: +, then by turns -2 and +2.
    bends = pieces * np.where(np.arange(pieces) % 2, -2.0, 2.0)
    bends[0] = pieces
    *hidden, last = [layer for layer in model.layers if isinstance(layer, nn.Linear)]
    for layer in hidden:
        before = np.ones((1, 1)) if layer is hidden[0] else bends[:, None]
        layer.weight.data = before @ np.ones((1, pieces))
        layer.bias.data = -np.arange(pieces) / pieces
    last.weight.data = bends[:, None]
    last.bias.data = np.zeros(1)
    return model


def f(x: Any) -> Any:
    """Give the function that is learned."""
    return sum(DECAY**k * np.cos(2**k * np.pi * x) for k in range(SCALES))


def trained(depth: int, neurons: int, seed: int) -> float:
    """Train one network, and give its error between the points it was trained on, as a share of f's deviation."""
    widths = [len(part) for part in np.array_split(range(neurons), depth)]
    model = nn.MLP([1, *widths, 1], activation="tanh", rng=seed, dtype=np.float64)
    x, between = np.linspace(-1, 1, POINTS)[:, None], np.linspace(-1, 1, 1001)[:, None]
    y = f(x)
    nn.optim.minimize(
        lambda: nn.functional.mse_loss(model(x), y), model.parameters(),
        maxiter=ITERATIONS, maxfun=2 * ITERATIONS, ftol=0, gtol=0,
    )  # fmt: skip
    return float(np.sqrt(np.mean((model(between).data - f(between)) ** 2)) / f(between).std())


def neurons_for(errors: dict[int, list[float]]) -> int | None:
    """Give the smallest network whose median error is small enough, or None."""
    return next((neurons for neurons, found in errors.items() if np.median(found) <= ERROR), None)


def draw(errors: dict[int, dict[int, list[float]]], needed: dict[int, int | None]) -> Figure:
    """Show how the error falls for each depth, and what each depth needs."""
    colours = dict(zip(errors, (chapter.ORANGE, chapter.BLUE, chapter.GREEN, chapter.PURPLE)))
    figure = Figure(figsize=(9, 4), layout="constrained")
    left, right = figure.subplots(1, 2, width_ratios=(2, 1))
    for depth, by_size in errors.items():
        sizes = list(by_size)
        for k in range(SEEDS):
            left.plot(sizes, [found[k] for found in by_size.values()], ".", color=colours[depth], alpha=0.35)
        medians = [np.median(found) for found in by_size.values()]
        left.plot(sizes, medians, color=colours[depth], label=f"{depth} hidden layer{'s' * (depth > 1)}")
    left.axhline(ERROR, color=chapter.GREY, ls=":", lw=1)
    left.set(xlabel="neurons", ylabel="error / standard deviation", xscale="log", yscale="log")
    left.set_xticks([8, 12, 16, 24, 40], ["8", "12", "16", "24", "40"])
    left.set_xticks([], minor=True)
    left.set_yticks([0.01, ERROR, 0.1], ["0.01", str(ERROR), "0.1"])
    left.set_yticks([], minor=True)
    left.set_title(f"Error over {SEEDS} seeds, and its median")
    left.legend(frameon=False)
    reached = {depth: neurons for depth, neurons in needed.items() if neurons}
    bars = right.bar([str(depth) for depth in reached], list(reached.values()), color=[colours[d] for d in reached])
    right.bar_label(bars)
    right.set(xlabel="hidden layers", ylabel="neurons")
    right.set_title(f"Neurons for an error of {ERROR}")
    for ax in (left, right):
        ax.spines[["top", "right"]].set_visible(False)
    return figure


if __name__ == "__main__":
    main()
