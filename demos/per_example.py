"""One gradient an example: the strangest digits have the largest ones, and twenty networks are trained at once.

Training follows the gradient of a mean loss, which is the mean of the gradients of single examples,

    g = 1/N Σᵢ gᵢ,    gᵢ = ∇ loss(θ; xᵢ, yᵢ).

Backpropagation gives the mean, and never sees the gᵢ. They are gradients of a function of one example, which
``ad.vmap`` makes one of all examples: each of its calls, forward and back, is made once for all of them,

    gradients = ad.vmap(ad.grad(loss), in_axes=(None, 0, 0))    # the same parameters, each image, each label

How long gᵢ is says how hard image i pulls at the weights. An image that the network reads with certainty hardly does.
One that looks like no other of its kind does, and one whose label is wrong most of all: here the labels of some images
were changed before training, and a network that trained on them a little puts most of them among the largest.

What is mapped over need not be examples. With the parameters of twenty networks stacked along a first axis, the same
function trains them at once, each from its own first weights and with its own order of images, as twenty trainings in
turn would, up to rounding. It is faster by what Python and NumPy spend on each call besides arithmetic, and can be
compiled as any step can. Twenty networks know more than one: where they err, they err differently, and the mean of
their probabilities is right more often than most of them are.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from threadpoolctl import threadpool_limits

import autodiff as ad
import nn
from demos import chapter
from demos.digits import digits

HIDDEN, EPOCHS, CHANGED = 32, 15, 40  # of the network whose gradients are looked at; labels that are changed
NETWORKS, NEURONS, IMAGES, BATCH, PASSES = 20, 16, 200, 20, 30  # of the ensemble
SHOWN = 10


def main(arguments: Sequence[str] | None = None) -> dict[str, Any]:
    """Run the chapter, and give the figures that it is about."""
    options = chapter.Parser("per_example", __doc__).parse(arguments)
    X, X_test, y, y_test = digits(options.seed)
    rng = np.random.default_rng(options.seed)
    with threadpool_limits(1):  # products of such small matrices are slower with several threads
        changed = rng.choice(len(y), CHANGED, replace=False)
        labels = y.copy()
        labels[changed] = (y[changed] + rng.integers(1, 10, CHANGED)) % 10
        norms, seconds, difference = norms_of_gradients(X, labels, rng)
        found = int(np.isin(np.argsort(-norms)[:CHANGED], changed).sum())
        print(f"gradients of {len(X):,} images: one by one in {seconds[0]:.2f} s, at once in {seconds[1]:.3f} s")
        print(f"their mean is the gradient of the mean loss, up to {difference:.0e}")
        print(f"norms: smallest {norms.min():.4f}, median {np.median(norms):.2f}, largest {norms.max():.1f}")
        print(f"of the {CHANGED} images with the largest, {found} have one of the {CHANGED} labels that were changed")

        print(f"\n{NETWORKS} networks, trained on {IMAGES} images, {PASSES} passes each")
        orders = np.array([[rng.permutation(IMAGES) for _ in range(PASSES)] for _ in range(NETWORKS)])
        data = X[:IMAGES], y[:IMAGES], orders.reshape(NETWORKS, -1, BATCH)
        models = [nn.MLP([64, NEURONS, 10], activation="tanh", rng=rng) for _ in range(NETWORKS)]
        first = stacked(models)
        ways: dict[str, Callable[[], dict[str, Any]]] = {
            "in turn": lambda: trained_in_turn(models, *data),
            "at once": lambda: trained_at_once(models[0], first, *data),
            "at once, compiled": lambda: trained_at_once(models[0], first, *data, compiled=True),
        }
        times, states = {}, {}
        for way, train in ways.items():
            start = time.perf_counter()
            states[way] = train()
            times[way] = time.perf_counter() - start
            print(f"  {way:18} {times[way]:.2f} s")
        of_test = ad.vmap(lambda state: nn.functional.softmax(nn.functional_call(models[0], state, X_test)))
        probabilities = of_test(states["at once"]).data
    apart = {way: max(float(np.abs(s[k] - states["in turn"][k]).max()) for k in s) for way, s in states.items()}
    alone = (probabilities.argmax(axis=-1) == y_test).mean(axis=1)
    together = float((probabilities.mean(axis=0).argmax(axis=-1) == y_test).mean())
    print(f"largest difference of a weight {apart['at once']:.0e}, compiled {apart['at once, compiled']:.0e}")
    print(f"accuracy of one network  {alone.mean():.4f} (from {alone.min():.4f} to {alone.max():.4f})")
    print(f"accuracy of the ensemble {together:.4f}")
    chapter.save(draw(X, labels, norms, changed, alone, together, times), options.output, "per_example.png")
    return {
        "norms": norms, "changed": changed, "found": found, "difference": difference, "seconds": seconds,
        "times": times, "apart": apart, "alone": alone, "together": together,
    }  # fmt: skip


def norms_of_gradients(X: Any, labels: Any, rng: np.random.Generator) -> tuple[Any, tuple[float, float], float]:
    """Train a network, and give the norm of each gradient, the seconds of a loop and of `vmap`, and an error."""
    model = nn.MLP([64, HIDDEN, 10], activation="tanh", rng=rng)
    optimizer = nn.optim.Adam(model.parameters(), lr=3e-3)
    nn.fit(model, X, labels, loss="cross_entropy", optimizer=optimizer, epochs=EPOCHS, batch_size=32, rng=rng)
    parameters = model.state_dict()

    def loss(parameters: Any, x: Any, y: Any) -> Any:
        return nn.functional.cross_entropy(nn.functional_call(model, parameters, x), y)

    start = time.perf_counter()
    for x, y in zip(X, labels):
        ad.grad(loss)(parameters, x, y)
    one_by_one = time.perf_counter() - start
    start = time.perf_counter()
    gradients = ad.vmap(ad.grad(loss), in_axes=(None, 0, 0))(parameters, X, labels)
    at_once = time.perf_counter() - start
    of_mean = ad.grad(loss)(parameters, X, labels)
    difference = max(float(np.abs(g.mean(axis=0) - of_mean[name]).max()) for name, g in gradients.items())
    squares = [np.square(g).reshape(len(X), -1).sum(axis=1) for g in gradients.values()]
    return np.sqrt(np.sum(squares, axis=0)), (one_by_one, at_once), difference


def trained_in_turn(models: list[nn.MLP], X: Any, y: Any, batches: Any) -> dict[str, Any]:
    """Train one network after the other, and give what they learned."""
    for model, rows in zip(models, batches):
        optimizer = nn.optim.Adam(model.parameters(), lr=0.01)
        for k in rows:
            optimizer.zero_grad()
            nn.functional.cross_entropy(model(X[k]), y[k]).backward()
            optimizer.step()
    return stacked(models)


def trained_at_once(
    model: nn.MLP, state: dict[str, Any], X: Any, y: Any, batches: Any, compiled: bool = False
) -> dict[str, Any]:
    """Train all networks at once, from parameters along a first axis, and give what they learned."""
    parameters = {name: nn.Parameter(array) for name, array in state.items()}
    optimizer = nn.optim.Adam(list(parameters.values()), lr=0.01)

    def loss(parameters: Any, X: Any, y: Any) -> Any:
        return nn.functional.cross_entropy(nn.functional_call(model, parameters, X), y)

    def step(X: Any, y: Any) -> None:
        optimizer.zero_grad()
        ad.vmap(loss)(parameters, X, y).sum().backward()
        optimizer.step()

    run = ad.compile(step, state=[*parameters.values(), optimizer]) if compiled else step
    for k in batches.swapaxes(0, 1):
        run(X[k], y[k])
    return {name: parameter.data for name, parameter in parameters.items()}


def stacked(models: list[nn.MLP]) -> dict[str, Any]:
    """Give the parameters of all networks, by name, along a first axis."""
    states = [model.state_dict() for model in models]
    return {name: np.stack([state[name] for state in states]) for name in states[0]}


def draw(X: Any, labels: Any, norms: Any, changed: Any, alone: Any, together: float, times: Any) -> Figure:
    """Show images with small and large gradients, how long these are, and what the ensemble is good for."""
    order, is_changed = np.argsort(norms), np.isin(np.arange(len(norms)), changed)
    rows = {
        "smallest": order[:SHOWN],
        "largest": order[~is_changed[order]][::-1][:SHOWN],
        "label\nchanged": order[is_changed[order]][::-1][:SHOWN],
    }
    figure = Figure(figsize=(9, 6.6), layout="constrained")
    above, below = figure.subfigures(2, 1, height_ratios=(1.15, 1))
    above.suptitle("Images by the norm of their gradient, with label and norm")
    for axes, (name, images) in zip(above.subplots(len(rows), SHOWN), rows.items()):
        axes[0].text(-0.25, 0.5, name, transform=axes[0].transAxes, ha="right", va="center", fontsize=9)
        for ax, k in zip(axes, images):
            ax.imshow(X[k].reshape(8, 8), cmap="gray_r", vmin=0, vmax=1)
            ax.set_title(f"{labels[k]} ({norms[k]:.2g})", fontsize=8)
            ax.axis("off")
    left, middle, right = below.subplots(1, 3, width_ratios=(1.3, 1, 1.2))
    bins = np.geomspace(norms.min(), norms.max(), 30)
    left.hist([norms[~is_changed], norms[is_changed]], bins, stacked=True, color=[chapter.BLUE, chapter.ORANGE])
    left.legend(["label as it was", "changed"], frameon=False, loc="upper left")
    left.set(xscale="log", xlabel="norm of the gradient", ylabel="images", title="All norms")
    left.margins(y=0.3)
    middle.plot(np.linspace(-0.1, 0.1, len(alone)), alone, ".", color=chapter.BLUE)
    middle.plot([-0.15, 0.15], [alone.mean()] * 2, color=chapter.BLUE)
    middle.plot([0.85, 1.15], [together] * 2, color=chapter.ORANGE)
    middle.set(xlim=(-0.5, 1.5), ylabel="accuracy", title=f"{NETWORKS} networks")
    middle.set_xticks([0, 1], ["each,\nand mean", "together"])
    bars = right.barh(list(times), list(times.values()), color=[chapter.GREY, chapter.ORANGE, chapter.ORANGE])
    right.bar_label(bars, fmt="%.2f", padding=2)
    right.invert_yaxis()
    right.set(xlabel="seconds", title="Time of their training", xlim=(0, 1.2 * max(times.values())))
    for ax in (left, middle, right):
        ax.spines[["top", "right"]].set_visible(False)
    return figure


if __name__ == "__main__":
    main()
