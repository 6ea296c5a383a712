"""A neural differential equation: a network learns the law of a spiral, through the solver that draws it.

A point moves on a spiral. Seen are its places yᵢ at times tᵢ, with noise; what moves it is a differential equation, and
a network f with parameters θ is to learn its right side,

    dy/dt = f(y; θ),    y(t₀) = y₀.

A solver makes a curve of it, and a loss L says how far the curve is from what was seen. Its gradient by θ has to come
back through the solver. That takes small steps, chooses their lengths as it goes, and keeps none of them, so that there
is no chain of calls to walk back. But the gradient by the place at a time, the adjoint a(t) = ∂L/∂y(t), obeys a
differential equation itself, and the gradient by θ is an integral along the curve,

    da/dt = -aᵀ ∂f/∂y,    ∂L/∂θ = ∫ aᵀ ∂f/∂θ dt.

So the solver is called once more, from the end to the start, for y, a and the integral side by side. It needs products
of a with the derivatives of f only, which backpropagation through the network gives, one call at a time. This is what
``autodiff.scipy.integrate.odeint`` does (Chen et al. 2018): in a program that calls SciPy's, the import changes.

To fit the whole curve at once is a bad beginning: an untrained network leads far away from all that was seen. So the
curve is cut into pieces, one from each place that was seen, and all pieces are solved together, as one equation of many
points. First each reaches to the next place, then over a quarter of the time. Short pieces are learned at once, but
what they teach is not quite the law. They take the place that was seen for where the point was, and where it moves by
little more than the noise, they hardly see in which direction. Over a longer way the noise counts less.

What was learned is a law and no curve: the last picture follows it beyond the last time at which something was seen.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from threadpoolctl import threadpool_limits

import autodiff as ad
import nn
from autodiff.scipy.integrate import odeint
from demos import chapter

MATRIX = np.array([[-0.1, 2.0], [-2.0, -0.1]])
START = np.array([2.0, 0.0])
TIMES: Any = np.linspace(0, 10, 60)
BEYOND: Any = np.linspace(0, 15, 600)
NOISE, NEURONS, TOLERANCE = 0.05, 16, 1e-4
STAGES = {"pieces of 1 interval": (2, 30), "pieces of 14": (15, 25)}  # places in a piece, and steps of the optimizer


def law(y: Any, t: Any) -> Any:
    """Give the velocity that the network is to learn."""
    return y**3 @ MATRIX


def main(arguments: Sequence[str] | None = None) -> dict[str, Any]:
    """Run the chapter, and give the figures that it is about."""
    options = chapter.Parser("neural_ode", __doc__).parse(arguments)
    rng = np.random.default_rng(options.seed)
    seen = odeint(law, START, TIMES) + NOISE * rng.normal(size=(len(TIMES), 2))
    network = [
        ad.Tensor(array)
        for array in (
            0.3 * rng.normal(size=(2, NEURONS)),
            np.zeros(NEURONS),
            0.3 * rng.normal(size=(NEURONS, 2)),
            np.zeros(2),
        )
    ]
    with threadpool_limits(1):  # products of such small matrices are slower with several threads
        calls, difference = gradient_examined(network, seen)
        print(f"a gradient by {sum(p.size for p in network)} parameters calls the network {calls[0]} times on the way")
        print(
            f"forward, and {calls[1]} times back; with tolerances of {TOLERANCE:g} it differs from central differences"
        )
        print(f"of a more exact solution by {difference:.0e}, relatively")
        curves, fits = {"untrained": curve(network)}, {}
        print("\n                       gradients  seconds   loss")
        for name, (places, steps) in STAGES.items():
            start = time.perf_counter()
            fits[name] = nn.optim.minimize(
                lambda places=places: loss_of(network, seen, places)[0], network, maxiter=steps
            )
            seconds = time.perf_counter() - start
            print(f"{name:22} {fits[name].nfev:9} {seconds:8.1f}   {fits[name].fun:.4f}")
            curves[name] = curve(network)
    exact = odeint(law, START, BEYOND)
    is_seen = TIMES[-1] >= BEYOND
    distances = {name: np.linalg.norm(ys - exact, axis=1) for name, ys in curves.items()}
    print("\nmean distance from the true curve   while seen   beyond")
    for name, distance in distances.items():
        print(f"{name:34} {distance[is_seen].mean():11.3f} {distance[~is_seen].mean():8.3f}")
    chapter.save(draw(seen, exact, curves, network), options.output, "neural_ode.png")
    return {"calls": calls, "difference": difference, "fits": fits, "distances": distances, "is_seen": is_seen}


def field(network: Sequence[Any], y: Any) -> Any:
    """Give the velocities at places along the last axis. It is third powers that go in, which saves neurons."""
    W1, b1, W2, b2 = network
    return np.tanh(y**3 @ W1 + b1) @ W2 + b2


def loss_of(network: Sequence[Any], seen: Any, places: int, tolerance: float = TOLERANCE) -> tuple[Any, list[int]]:
    """Solve all pieces of a number of places at once: the mean square of their distances from what was seen.

    Beside it comes a list in which the calls of the network are counted.
    """
    count, calls = len(seen) - places + 1, [0]
    pieces = np.stack([seen[k : k + count] for k in range(places)])

    def right_side(y: Any, t: Any) -> Any:
        calls[0] += 1
        return field(network, y.reshape(count, 2)).reshape(-1)

    ys = odeint(right_side, pieces[0].reshape(-1), TIMES[:places], rtol=tolerance, atol=tolerance)
    return np.square(ys.reshape(pieces.shape)[1:] - pieces[1:]).mean(), calls


def gradient_examined(network: Sequence[ad.Tensor], seen: Any, places: int = 15) -> tuple[tuple[int, int], float]:
    """Count the calls that a gradient takes, and compare it with central differences along one direction."""
    loss, calls = loss_of(network, seen, places)
    forward = calls[0]
    loss.backward()
    direction = [np.cos(np.arange(1.0, p.size + 1)).reshape(p.shape) for p in network]
    slope = sum(float(np.sum(p.grad * d)) for p, d in zip(network, direction))
    for p in network:
        p.grad = None
    low, high = (
        float(loss_of([p.data + step * d for p, d in zip(network, direction)], seen, places, 1e-10)[0])
        for step in (-1e-4, 1e-4)
    )
    return (forward, calls[0] - forward), abs(slope / ((high - low) / 2e-4) - 1)


def curve(network: Sequence[ad.Tensor]) -> Any:
    """Draw the whole curve that the network gives, from the true start."""
    weights = [p.data for p in network]
    return odeint(lambda y, t: field(weights, y), START, BEYOND)


def draw(seen: Any, exact: Any, curves: dict[str, Any], network: Sequence[ad.Tensor]) -> Figure:
    """Show the curves in the plane and over time, and what the network takes for the law."""
    figure = Figure(figsize=(9, 6.4), layout="constrained")
    above, below = figure.subfigures(2, 1, height_ratios=(1.5, 1))
    left, right = above.subplots(1, 2)
    time_axes = below.subplots()
    is_seen = TIMES[-1] >= BEYOND
    colors = dict(zip(curves, (chapter.GREY, chapter.ORANGE, chapter.BLUE)))
    left.plot(*exact[is_seen].T, color="black", lw=0.8, ls="--", label="true")
    left.plot(*seen.T, ".", color="black", ms=5, label="seen")
    for name, ys in curves.items():
        left.plot(*ys[is_seen].T, color=colors[name], lw=1.4, label=name)
    left.set(title="Curves", xlim=(-2.3, 2.5), ylim=(-2.3, 2.3), aspect="equal")
    grid = np.stack(np.meshgrid(*[np.linspace(-2.2, 2.2, 13)] * 2), axis=-1)
    wrong = np.linalg.norm(field([p.data for p in network], grid) - law(grid, 0), axis=-1)
    wrong = wrong / np.maximum(1, np.linalg.norm(law(grid, 0), axis=-1))
    image = right.pcolormesh(grid[..., 0], grid[..., 1], wrong, cmap="Oranges", vmin=0, vmax=1)
    velocities = field([p.data for p in network], grid)
    velocities = velocities / np.maximum(1e-3, np.linalg.norm(velocities, axis=-1, keepdims=True))
    right.quiver(
        grid[..., 0],
        grid[..., 1],
        velocities[..., 0],
        velocities[..., 1],
        color=chapter.BLUE,
        scale=20,
        width=0.005,
        pivot="mid",
    )
    right.plot(*exact[is_seen].T, color="black", lw=0.8, ls="--")
    above.colorbar(image, ax=right, shrink=0.8, label="relative error of the velocity")
    right.set(title="Directions that were learned", aspect="equal")
    time_axes.axvspan(TIMES[-1], BEYOND[-1], color="0.93")
    time_axes.plot(BEYOND, exact[:, 0], color="black", lw=0.8, ls="--")
    time_axes.plot(TIMES, seen[:, 0], ".", color="black", ms=5)
    for name, ys in curves.items():
        time_axes.plot(BEYOND, ys[:, 0], color=colors[name], lw=1.4)
    time_axes.set(xlabel="time; nothing was seen where it is grey", ylabel="first coordinate", xlim=(0, BEYOND[-1]))
    time_axes.set_ylim(-2.3, 3.2)
    figure.legend(
        *left.get_legend_handles_labels(), loc="lower right", bbox_to_anchor=(0.98, 0.33), ncols=5, frameon=False
    )
    for ax in (left, time_axes):
        ax.spines[["top", "right"]].set_visible(False)
    return figure


if __name__ == "__main__":
    main()
