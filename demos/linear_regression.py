"""Linear regression: gradient descent walks down the error to the least-squares solution.

A line, or in more dimensions a plane, predicts y from x. Its error is the mean squared distance to the n observations:

    y ≈ X w + b,    E(w, b) = 1/n |y - X w - b|²

Let r = y - X w - b be the residuals. Each rᵢ falls by xᵢⱼ when wⱼ rises by one, and by 1 when b does, so the chain rule
gives

    ∂E/∂w = -2/n Xᵀ r,    ∂E/∂b = -2/n Σᵢ rᵢ.

The engine finds the same numbers without being told: it knows the derivatives of @, - and the square, and chains them.
Both are printed side by side, at each step of gradient descent with the learning rate η,

    w ← w - η ∂E/∂w,    b ← b - η ∂E/∂b.

E is quadratic: a bowl, which curves alike everywhere. How steeply, say the eigenvalues λ of 2/n AᵀA, where A is X with
a column of ones for b. Along an eigenvector, a step multiplies the distance to the bottom by 1 - η λ. So the walk runs
away if η > 2 / λmax; and η = 2 / (λmin + λmax) shrinks the flattest and the steepest direction alike, by

    ρ = (κ - 1) / (κ + 1)    with the condition number κ = λmax / λmin.

The first data are made up: two features that go together, so that the bowl is a valley and the walk, which steps across
it more than along it, a zigzag. The second are real: ten measurements of 442 patients (age, sex, body mass index, blood
pressure and six of the blood), and how far their diabetes went within a year. Total cholesterol nearly follows from its
parts, which makes the valley so long that κ is in the hundreds: gradient descent takes thousands of steps to where
linear algebra (numpy.linalg.lstsq) goes in one, but gets there.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from sklearn.datasets import load_diabetes

import autodiff as ad
from demos import chapter

STEPS = 20


def main(arguments: Sequence[str] | None = None) -> dict[str, Any]:
    """Run the chapter, and give the figures that it is about."""
    options = chapter.Parser("linear_regression", __doc__).parse(arguments)

    X, y = made_up(np.random.default_rng(options.seed))
    walk = descend(X, y, STEPS)
    print("made-up data, y = 2 x₁ - x₂ + 0.5 + noise: the gradient by hand, and the engine's")
    print("step    error    ∂E/∂w₁   ∂E/∂w₂   ∂E/∂b      ∂E/∂w₁   ∂E/∂w₂   ∂E/∂b    difference")
    for step, (value, hand, engine) in enumerate(zip(walk.errors, walk.by_hand, walk.by_engine)):
        columns = "   ".join(" ".join(f"{number:8.4f}" for number in gradient) for gradient in (hand, engine))
        print(f"{step:4} {value:8.5f} {columns}   {np.abs(hand - engine).max():8.1e}")
    print(f"reached   w₁ {walk.path[-1][0]:.5f}, w₂ {walk.path[-1][1]:.5f}, b {walk.path[-1][2]:.5f}")
    print("lstsq     w₁ {:.5f}, w₂ {:.5f}, b {:.5f}\n".format(*walk.solution))

    X, y, names = diabetes()
    long_walk = descend(X, y, 8000)
    final = long_walk.path[-1]
    print(f"diabetes: κ = {long_walk.condition:.0f}, after {len(long_walk.path) - 1} steps")
    print(f"the gradients by hand and by the engine differ by {long_walk.gradient_difference:.1e} at most")
    print("            descent      lstsq")
    for name, reached, wanted in zip([*names, "b"], final, long_walk.solution):
        print(f"{name:6} {reached:12.6f} {wanted:12.6f}")
    difference = np.abs(final - long_walk.solution).max()
    explained = 1 - long_walk.errors[-1] / y.var()
    print(
        f"largest difference of the coefficients {difference:.1e}; "
        f"the measurements explain {explained:.1%} of the variance"
    )

    chapter.save(draw(walk, long_walk), options.output, "linear_regression.png")
    return {
        "gradient_differences": [walk.gradient_difference, long_walk.gradient_difference],
        "path": walk.path,
        "solution": walk.solution,
        "condition": long_walk.condition,
        "distances": long_walk.distances,
        "rate": long_walk.rate,
        "coefficients": final,
        "least_squares": long_walk.solution,
        "explained": explained,
    }


def made_up(rng: np.random.Generator) -> tuple[Any, Any]:
    """Draw 100 points around a plane. The features are centred, and correlated with 0.6."""
    X = rng.multivariate_normal([0, 0], [[1, 0.6], [0.6, 1]], size=100)
    X -= X.mean(axis=0)
    return X, X @ [2, -1] + 0.5 + rng.normal(scale=0.5, size=100)


def diabetes() -> tuple[Any, Any, list[str]]:
    """Load the measurements, each with mean 0 and standard deviation 1, and their names."""
    data = load_diabetes(scaled=False)
    return (data.data - data.data.mean(axis=0)) / data.data.std(axis=0), data.target, data.feature_names


def error(w: Any, b: Any, X: Any, y: Any) -> Any:
    """Give the mean squared error of the plane."""
    return ((y - X @ w - b) ** 2).mean()


def error_gradient(w: Any, b: Any, X: Any, y: Any) -> tuple[Any, Any]:
    """Give its gradient as derived by hand."""
    residuals = y - X @ w - b
    return -2 / len(y) * X.T @ residuals, -2 / len(y) * residuals.sum()


@dataclass
class Walk:
    """Gradient descent from zero.

    Attributes:
        path: w and b, a row before each step and one after the last.
        errors: the error at each row of the path.
        by_hand: its gradient at each row, by w and b.
        by_engine: the same.
        solution: the least-squares solution, w and b.
        condition: κ.
        points: the data, X and y.
    """

    path: Any
    errors: Any
    by_hand: Any
    by_engine: Any
    solution: Any
    condition: float
    points: tuple[Any, Any]

    @property
    def gradient_difference(self) -> float:
        """Largest difference between the gradients by hand and by the engine, over all steps."""
        return float(np.abs(self.by_hand - self.by_engine).max())

    @property
    def distances(self) -> Any:
        """Distance to the solution at each row of the path."""
        return np.linalg.norm(self.path - self.solution, axis=1)

    @property
    def rate(self) -> float:
        """Factor ρ that a step shrinks the distance by, where it shrinks slowest."""
        return (self.condition - 1) / (self.condition + 1)


def descend(X: Any, y: Any, steps: int) -> Walk:
    """Go down the gradient that the engine finds, and record what is seen on the way."""
    A = np.column_stack([X, np.ones(len(X))])
    curvatures = np.linalg.eigvalsh(2 / len(X) * A.T @ A)
    lr = 2 / (curvatures[0] + curvatures[-1])
    value_and_gradient = ad.value_and_grad(error, argnums=(0, 1))
    w, b = np.zeros(X.shape[1]), np.float64(0)
    rows = []
    for _ in range(steps + 1):
        value, (dw, db) = value_and_gradient(w, b, X, y)
        rows.append((np.append(w, b), value, np.append(*error_gradient(w, b, X, y)), np.append(dw, db)))
        w, b = w - lr * dw, b - lr * db
    solution, *_ = np.linalg.lstsq(A, y)
    path, errors, by_hand, by_engine = map(np.array, zip(*rows))
    return Walk(path, errors, by_hand, by_engine, solution, curvatures[-1] / curvatures[0], (X, y))


def draw(walk: Walk, long_walk: Walk) -> Figure:
    """Show the walk on the map of the error, and how both walks come closer to their solutions."""
    figure = Figure(figsize=(8, 3.9), layout="constrained")
    left, right = figure.subplots(1, 2, width_ratios=(1.15, 1))

    w1, w2 = np.meshgrid(np.linspace(-0.4, 3.0, 120), np.linspace(-1.9, 0.9, 120))
    X, y = walk.points
    surface = ((y - np.stack([w1, w2], axis=-1) @ X.T - walk.solution[2]) ** 2).mean(axis=-1)
    levels = np.geomspace(1.12 * surface.min(), surface.max(), 9)
    left.contourf(w1, w2, surface, levels, cmap="Blues", norm="log", vmax=50, extend="both")
    lines = left.contour(w1, w2, surface, levels, colors=chapter.BLUE, linewidths=0.7)
    left.clabel(lines, fontsize=8, fmt="%.2g", colors="black")
    left.plot(*walk.path[:, :2].T, "o-", color=chapter.ORANGE, markersize=4, lw=1.2, label="gradient descent")
    left.plot(*walk.solution[:2], "*", color="black", markersize=12, label="least squares")
    left.set(xlabel="weight $w_1$", ylabel="weight $w_2$", title="The error E, and the way down")
    left.legend(loc="upper right", fontsize=8, framealpha=1)

    for one, name, color in ((walk, "made-up", chapter.ORANGE), (long_walk, "diabetes", chapter.BLUE)):
        steps = np.arange(1, len(one.distances))
        right.loglog(steps, one.distances[1:] / one.distances[0], color=color, label=f"{name}, κ = {one.condition:.3g}")
        right.loglog(steps, one.rate**steps, "--", color=chapter.GREY, lw=1, zorder=0)
    right.plot([], "--", color=chapter.GREY, lw=1, label=r"$\rho^{\mathrm{steps}}$")
    right.set(xlabel="steps", ylabel="distance left (1 at the start)", title="A long valley takes many steps")
    right.set_ylim(1e-13, 3)
    right.legend(loc="lower left", fontsize=8)
    return figure


if __name__ == "__main__":
    main()
