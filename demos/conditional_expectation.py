"""Conditional expectation: what a network is trained towards, by squared error and by cross-entropy.

Pairs (x, y) are drawn from a joint distribution p(x, y). Counting how many of n fall into each cell of a grid estimates
it, and with it the other two:

    joint          P(x, y)   ≈  pairs in the cell / n
    marginal       P(x)      =  Σ_y P(x, y)
    conditional    P(y | x)  =  P(x, y) / P(x)

y is no function of x, so what does a network f learn that is trained to give it? For the squared error,

    E[(y - f(x))²]  =  E[(f(x) - E[y|x])²]  +  E[Var(y|x)].

The second part does not depend on f, the first is zero for f(x) = E[y|x]. So a network that is large enough, with data
enough, approaches the conditional expectation, and the error that remains is the conditional variance: noise that no
function of x can foretell. For a q(y|x) with the cross-entropy as its loss,

    E[-log q(y|x)]  =  E[KL(P(·|x) ‖ q(·|x))]  +  H(y|x).

The divergence is zero for q = P only: a network with a softmax over the cells of y approaches the whole conditional
distribution, and its loss the conditional entropy.

Here all of these are known. x has the density (4 + x) / 16 on [-2, 2]. With probability σ(2x), y lies around one
branch, else around another one, 2 below:

    y = sin(2x)/2 + s + (0.4 - 0.1 x) ε,    s = 1 with probability σ(2x), else -1;    ε normal,
    E[y|x] = sin(2x)/2 + 2 σ(2x) - 1,       Var(y|x) = 4 σ(2x) (1 - σ(2x)) + (0.4 - 0.1 x)².

In the middle E[y|x] runs between the branches, where hardly any y is: the mean says nothing of that, P(y|x) does. Both
ways of estimation come closer to the truth the more pairs there are. The networks come closer than counting: they take
P(y|x) to be smooth in x, where counting starts anew in each cell, and is never better than the cells are narrow.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from scipy.special import ndtr, xlogy

import nn
from demos import chapter
from nn.functional import sigmoid, softmax

X_EDGES = np.linspace(-2, 2, 25)
Y_EDGES = np.linspace(-3, 3, 25)  # what lies beyond is counted in the first and the last cell
SHOWN = 16  # the cell of y that is printed
COUNTS = [1_000, 10_000, 100_000]
FRESH = 500_000
STEPS = 2500
BATCH = 500

# Where estimates are compared with the truth: 20 points in each cell of x, weighted by the density.
POINTS = -2 + (np.arange(480) + 0.5) / 120
WEIGHTS = (4 + POINTS) / (4 + POINTS).sum()


def main(arguments: Sequence[str] | None = None) -> dict[str, Any]:
    """Run the chapter, and give the figures that it is about."""
    options = chapter.Parser("conditional_expectation", __doc__).parse(arguments)
    rng = np.random.default_rng(options.seed)

    _, variance, distribution = truth(POINTS)
    noise = WEIGHTS @ variance
    entropy = -(WEIGHTS @ xlogy(distribution, distribution).sum(axis=1))
    fresh = draw_pairs(FRESH, rng)
    print(f"root mean square difference to the truth, and the losses on {FRESH} pairs not trained on")
    print("            E[y|x]               P(y|x)")
    print("pairs       counting  network    counting  network    squared error    cross-entropy")
    estimates = [estimate(*draw_pairs(n, rng), *fresh, rng) for n in COUNTS]
    for n, one in zip(COUNTS, estimates):
        differences = "    ".join(f"{a:8.4f} {b:8.4f}" for a, b in (one.mean_differences, one.distribution_differences))
        print(f"{n:<11} {differences}    {one.squared_error:13.4f}    {one.cross_entropy:13.4f}")
    print(f"{'the truth':47} E[Var(y|x)] {noise:8.4f}    H(y|x) {entropy:10.4f}")

    last = estimates[-1]
    exact = (WEIGHTS[:, None] * distribution).reshape(len(X_EDGES) - 1, -1, len(Y_EDGES) - 1).sum(axis=1)
    cells = by_cell(fresh[0], (fresh[1] - last.expect(fresh[0])) ** 2)
    in_cells = variance.reshape(len(cells), -1).mean(axis=1)
    low, high = Y_EDGES[SHOWN : SHOWN + 2]
    print(f"\n{COUNTS[-1]} pairs by cells, y from {low:.2f} to {high:.2f}; the squared error is the network's")
    print("                            P(x)           P(x, y)            P(y|x)       Var(y|x)  squared")
    print("x                      counted exact    counted  exact    counted exact     exact     error")
    for k in range(0, len(cells), 4):
        columns = "  ".join(
            f"{counted:8.4f} {wanted:7.4f}"
            for counted, wanted in (
                (last.joint[k].sum(), exact[k].sum()),
                (last.joint[k, SHOWN], exact[k, SHOWN]),
                (last.conditional[k, SHOWN], exact[k, SHOWN] / exact[k].sum()),
                (in_cells[k], cells[k]),
            )
        )
        print(f"from {X_EDGES[k]:5.2f} to {X_EDGES[k + 1]:5.2f}   {columns}")

    chapter.save(draw(estimates, cells), options.output, "conditional_expectation.png")
    return {
        "joint": last.joint,
        "exact_joint": exact,
        "conditional": last.conditional,
        "mean_differences": np.array([one.mean_differences for one in estimates]),
        "distribution_differences": np.array([one.distribution_differences for one in estimates]),
        "squared_errors": [one.squared_error for one in estimates],
        "cross_entropies": [one.cross_entropy for one in estimates],
        "conditional_variance": noise,
        "conditional_entropy": entropy,
        "variances": in_cells,
        "errors_in_cells": cells,
    }


def draw_pairs(n: int, rng: np.random.Generator) -> tuple[Any, Any]:
    """Draw x by the inverse of its distribution function, and y given x."""
    x = np.sqrt(4 + 32 * rng.random(n)) - 4
    s = np.where(rng.random(n) < sigmoid(2 * x), 1, -1)
    return x, np.sin(2 * x) / 2 + s + (0.4 - 0.1 * x) * rng.normal(size=n)


def truth(x: Any) -> tuple[Any, Any, Any]:
    """Give E[y|x], Var(y|x), and the probability of each cell of y given x."""
    upper, spread = sigmoid(2 * x), 0.4 - 0.1 * x
    inner = Y_EDGES[1:-1]
    below = sum(
        share[:, None] * ndtr((inner - (np.sin(2 * x) / 2 + s)[:, None]) / spread[:, None])
        for share, s in ((upper, 1), (1 - upper, -1))
    )
    cells = np.diff(below, axis=1, prepend=0, append=1)
    return np.sin(2 * x) / 2 + 2 * upper - 1, 4 * upper * (1 - upper) + spread**2, cells


def count(x: Any, y: Any) -> Any:
    """Give the joint distribution P(x, y), by cells of x and of y."""
    joint, _, _ = np.histogram2d(x, np.clip(y, Y_EDGES[0], Y_EDGES[-1]), bins=(X_EDGES, Y_EDGES))
    return joint / len(x)


def by_cell(x: Any, values: Any) -> Any:
    """Give the mean of values in each cell of x."""
    sums, _ = np.histogram(x, X_EDGES, weights=values)
    return sums / np.histogram(x, X_EDGES)[0]


@dataclass
class Estimate:
    """What some pairs tell.

    Attributes:
        joint: P(x, y) by counting.
        conditional: P(y|x) by counting, a row for each cell of x.
        expectation: E[y|x] by the network, at the points of comparison.
        distribution: P(y|x) by the network, at these points.
        mean_differences: root mean square difference to the true E[y|x], of counting and of the network.
        distribution_differences: the same of P(y|x).
        squared_error: of the network for E[y|x], on fresh pairs.
        cross_entropy: of the network for P(y|x), on the same.
        model: the network for E[y|x].
    """

    joint: Any
    conditional: Any
    expectation: Any
    distribution: Any
    mean_differences: tuple[float, float]
    distribution_differences: tuple[float, float]
    squared_error: float
    cross_entropy: float
    model: nn.Module

    def expect(self, x: Any) -> Any:
        """Give E[y|x] by the network."""
        return self.model(x[:, None]).data[:, 0]


def estimate(x: Any, y: Any, fresh_x: Any, fresh_y: Any, rng: np.random.Generator) -> Estimate:
    """Count the pairs, train both networks on them, and compare with the truth."""
    joint = count(x, y)
    conditional = joint / joint.sum(axis=1, keepdims=True)
    counted_mean = by_cell(x, y)

    regression = learn(x, y[:, None], "mse_loss", 1, rng)
    classifier = learn(x, cell_of(y), "cross_entropy", len(Y_EDGES) - 1, rng)
    expectation = regression(POINTS[:, None]).data[:, 0]
    distribution = softmax(classifier(POINTS[:, None])).data

    mean, _, cells = truth(POINTS)
    cell = np.searchsorted(X_EDGES, POINTS) - 1
    return Estimate(
        joint,
        conditional,
        expectation,
        distribution,
        (difference(counted_mean[cell], mean), difference(expectation, mean)),
        (difference(conditional[cell], cells), difference(distribution, cells)),
        nn.evaluate(regression, fresh_x[:, None], fresh_y[:, None], loss="mse_loss")[0],
        nn.evaluate(classifier, fresh_x[:, None], cell_of(fresh_y))[0],
        regression,
    )


def cell_of(y: Any) -> Any:
    """Give the number of the cell that each y is in."""
    return np.searchsorted(Y_EDGES[1:-1], y)


def learn(x: Any, targets: Any, loss: str, outputs: int, rng: np.random.Generator) -> nn.Module:
    """Train a network; with few pairs it sees them more often, for as many steps."""
    model = nn.MLP([1, 24, 24, outputs], activation="tanh", rng=rng, dtype=np.float64)
    epochs = STEPS * BATCH // len(x)
    optimizer = nn.optim.Adam(model.parameters(), lr=0.02)
    schedule = nn.optim.CosineAnnealingLR(optimizer, epochs)
    nn.fit(
        model,
        x[:, None],
        targets,
        loss=loss,
        optimizer=optimizer,
        schedule=schedule,
        epochs=epochs,
        batch_size=BATCH,
        rng=rng,
    )
    return model


def difference(found: Any, wanted: Any) -> float:
    """Give the root mean square difference, by the density of x and the same for each cell of y."""
    squares = (found - wanted) ** 2
    return float(np.sqrt(WEIGHTS @ (squares if squares.ndim == 1 else squares.mean(axis=1))))


def draw(estimates: list[Estimate], errors: Any) -> Figure:
    """Show the joint distribution with E[y|x], P(y|x) at two x, the conditional variance, and what more pairs do."""
    figure = Figure(figsize=(8, 6.4), layout="constrained")
    (joint, conditional), (variance, rates) = figure.subplots(2, 2)
    last = estimates[-1]
    mean, variances, cells = truth(POINTS)

    joint.pcolormesh(X_EDGES, Y_EDGES, last.joint.T, cmap="Blues")
    joint.plot(POINTS, mean, color="black", lw=3, label="E[y|x], true")
    joint.plot(POINTS, last.expectation, "--", color="#F0E442", lw=2, label="network")
    joint.legend(loc="upper left", fontsize=8)
    joint.set(xlabel="x", ylabel="y")
    top = joint.inset_axes((0, 1.02, 1, 0.16), sharex=joint)
    top.stairs(last.joint.sum(axis=1), X_EDGES, fill=True, color=chapter.BLUE, alpha=0.4)
    top.set_title("P(x, y) by counting; P(x) above, P(y) right", fontsize=11)
    right = joint.inset_axes((1.02, 0, 0.16, 1), sharey=joint)
    right.stairs(last.joint.sum(axis=0), Y_EDGES, fill=True, color=chapter.BLUE, alpha=0.4, orientation="horizontal")
    for ax in (top, right):
        ax.axis("off")
    joint.set(xlim=(-2, 2), ylim=(-3, 3))

    middles = (Y_EDGES[1:] + Y_EDGES[:-1]) / 2
    for k, color in ((4, chapter.ORANGE), (12, chapter.BLUE)):
        point = 20 * k + 10
        conditional.stairs(last.conditional[k], Y_EDGES, fill=True, color=color, alpha=0.3)
        conditional.plot(middles, cells[point], color=color, lw=1.5)
        conditional.plot(middles, last.distribution[point], "o", color=color, markersize=4)
        conditional.plot([], [], color=color, lw=5, label=f"x = {POINTS[point]:.2f}")
    conditional.stairs([0], [0, 0], fill=True, color=chapter.GREY, alpha=0.3, label="counting")
    conditional.plot([], color="black", lw=1.5, label="true")
    conditional.plot([], "o", color="black", markersize=4, label="network")
    conditional.set(xlabel="y", ylabel="probability of the cell", ylim=(0, 0.26))
    conditional.set_title("P(y|x), by cross-entropy", fontsize=11)
    conditional.legend(loc="upper left", ncols=2, fontsize=8)

    variance.plot(POINTS, variances, color="black", lw=1.5, label="Var(y|x), true")
    variance.plot(
        (X_EDGES[1:] + X_EDGES[:-1]) / 2, errors, "o", color=chapter.ORANGE, markersize=4, label="of the network"
    )
    variance.set(xlabel="x", ylabel="mean squared error", ylim=(0, None))
    variance.set_title("The error that remains is the variance", fontsize=11)
    variance.legend(loc="lower left", fontsize=8)

    for name, color, values in (
        ("E[y|x]", chapter.ORANGE, [one.mean_differences for one in estimates]),
        ("P(y|x)", chapter.BLUE, [one.distribution_differences for one in estimates]),
    ):
        counting, network = zip(*values)
        rates.loglog(COUNTS, counting, "s--", color=color, label=f"{name}, counting")
        rates.loglog(COUNTS, network, "o-", color=color, label=f"{name}, network")
    rates.set(xlabel="pairs", ylabel="root mean square difference", ylim=(None, 0.7))
    rates.set_title("More pairs, closer to the truth", fontsize=11)
    rates.legend(loc="upper center", ncols=2, fontsize=8)
    return figure


if __name__ == "__main__":
    main()
