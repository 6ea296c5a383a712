"""A Gaussian process: the curve between observations and how sure it is, by the gradient of one likelihood.

A Gaussian process says of unknown f(x₁), ..., f(xₙ) that they are normal, with a covariance that falls with distance,

    k(x, x') = s² exp(-Σᵢ (xᵢ - xᵢ')² / 2ℓᵢ²),

so that near points have like values. What is observed is y = f(x) + noise of standard deviation σ, which is normal too,
with the covariance K = k(X, X) + σ²I. Its density is the marginal likelihood: no f is chosen, all are counted.

    -log p(y) = ½ yᵀK⁻¹y + ½ log det K + n/2 log 2π

The first part punishes curves that do not reach the observations, the second those that could reach anything. The sum
has its least at a length scale ℓ, a height s and a noise σ that suit the observations, with nothing held out. The
logarithms of these are what is descended by; the gradient goes through the Cholesky factor of K, and equals the formula

    ∂/∂θ -log p(y) = ½ tr((K⁻¹ - ααᵀ) ∂K/∂θ),    α = K⁻¹y    (Rasmussen and Williams 2006, equation 5.9).

Then f at other points is normal too: its mean k(x, X)α is the curve, and its variance the band. Where observations are
missing, the band is wide. The observations here are drawn from a process whose ℓ, s and σ are known. If the band is to
be believed, about 95 in 100 points of a curve are within two standard deviations; not of each curve, whose points are
near each other, but of many. It is a little less, as ℓ, s and σ are not known but found.

With a length scale for each input, the likelihood says which inputs matter: of those that do not, it grows. There are
more numbers to find then, and SciPy's optimizer, which without a gradient has to try each one, needs many times as many
likelihoods.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from scipy.optimize import minimize
from threadpoolctl import threadpool_limits

import autodiff as ad
from autodiff.scipy import linalg, stats
from demos import chapter

TRUTH = {"lengths": np.log([1.0]), "height": np.log(1.5), "noise": np.log(0.2)}
START = {"lengths": np.log([0.2]), "height": np.log(1.0), "noise": np.log(1.0)}
OBSERVED, GRID = 35, np.linspace(0, 12, 121)[:, None]
GAP = 5.5, 8.0  # nothing is observed between
CURVES = 20  # which the band is tried on
INPUTS, MATTER, ROWS = 8, 2, 60  # of the second problem
BOUND = 5  # of logarithms


def main(arguments: Sequence[str] | None = None) -> dict[str, Any]:
    """Run the chapter, and give the figures that it is about."""
    options = chapter.Parser("gaussian_process", __doc__).parse(arguments)
    rng = np.random.default_rng(options.seed)

    with threadpool_limits(1):  # of matrices this small several threads make no shorter work
        X, y, curve = observations(rng)
        by_density = -stats.multivariate_normal.logpdf(y, None, covariance(START, X))
        print(f"-log p(y) of {OBSERVED} observations {loss(START, X, y):.6f}, and by SciPy's density {by_density:.6f}")
        by_engine, by_hand = ad.grad(loss)(START, X, y), gradient_by_hand(START, X, y)
        difference = max(float(np.max(np.abs(by_engine[name] - by_hand[name]))) for name in START)
        print(f"the gradient and the formula by hand differ by {difference:.0e}")
        found, path, _ = fit(START, X, y)
        print("\n                 ℓ       s       σ   -log p(y)")
        for name, parameters in (("at first", START), ("found", found), ("drawn from", TRUTH)):
            length, height, noise = (float(np.exp(x).squeeze()) for x in parameters.values())
            print(f"{name:12} {length:6.3f}  {height:6.3f}  {noise:6.3f}  {loss(parameters, X, y):10.4f}")
        _, deviation = predicted(found, X, y, GRID)
        in_gap = (GRID[:, 0] > GAP[0]) & (GRID[:, 0] < GAP[1])
        widths = deviation[in_gap].max(), float(np.median(deviation[~in_gap]))
        print(f"standard deviation: {widths[0]:.2f} where nothing was observed, {widths[1]:.2f} elsewhere")
        inside = [share_inside(*observations(rng)) for _ in range(CURVES)]
        print(f"of {CURVES} other curves, {np.mean(inside):.1%} is within two standard deviations of the mean")

        rows, targets = of_many_inputs(rng)
        start = {"lengths": np.zeros(INPUTS), "height": 0.0, "noise": np.log(0.5)}
        relevant, _, with_gradient = fit(start, rows, targets)
        _, _, without = fit(start, rows, targets, gradient=False)
        lengths = np.exp(relevant["lengths"])
        print(
            f"\n{INPUTS} inputs, of which the first {MATTER} matter: length scales", *(f"{ell:.3g}" for ell in lengths)
        )
        print(f"(the largest that was allowed is {np.exp(BOUND):.0f})")
        print(f"likelihoods that SciPy asked for: {with_gradient} with the gradient, {without} without")
    chapter.save(draw(X, y, curve, found, path, lengths), options.output, "gaussian_process.png")
    return {
        "difference": difference, "density_difference": abs(by_density - loss(START, X, y)), "found": found,
        "likelihoods": [loss(p, X, y) for p in (START, found, TRUTH)], "slope": ad.grad(loss)(found, X, y),
        "inside": np.mean(inside), "widths": widths, "lengths": lengths, "asked": (with_gradient, without),
    }  # fmt: skip


def kernel(parameters: Any, A: Any, B: Any) -> Any:
    """Give the covariance of f at rows of A with f at rows of B."""
    apart = (A[:, None] - B) / np.exp(parameters["lengths"])
    return np.exp(2 * parameters["height"] - np.sum(apart * apart, axis=-1) / 2)


def covariance(parameters: Any, X: Any) -> Any:
    """Give the covariance of the observations."""
    return kernel(parameters, X, X) + np.exp(2 * parameters["noise"]) * np.eye(len(X))


def loss(parameters: Any, X: Any, y: Any) -> Any:
    """Give the negative logarithm of the marginal likelihood."""
    factor, lower = linalg.cho_factor(covariance(parameters, X), lower=True)
    alpha = linalg.cho_solve((factor, lower), y)
    return y @ alpha / 2 + np.sum(np.log(np.diagonal(factor))) + len(y) / 2 * np.log(2 * np.pi)


def gradient_by_hand(parameters: Any, X: Any, y: Any) -> dict[str, Any]:
    """Give the gradient by the formula, for one length scale."""
    inverse, K = np.linalg.inv(covariance(parameters, X)), kernel(parameters, X, X)
    alpha = inverse @ y
    squares = np.sum((X[:, None] - X) ** 2, axis=-1) / np.exp(2 * parameters["lengths"])
    slopes = {"lengths": K * squares, "height": 2 * K, "noise": 2 * np.exp(2 * parameters["noise"]) * np.eye(len(X))}
    return {name: np.sum((inverse - np.outer(alpha, alpha)) * slope) / 2 for name, slope in slopes.items()}


def fit(start: Any, X: Any, y: Any, gradient: bool = True) -> tuple[Any, list[Any], int]:
    """Find the parameters of the largest likelihood; give them, the way there, and how many likelihoods it took."""
    vector, unravel = ad.ravel(start)
    path = [start]

    def of_vector(vector: Any) -> Any:
        return loss(unravel(vector), X, y)

    result = minimize(
        ad.value_and_grad(of_vector) if gradient else of_vector,
        vector,
        jac=gradient,
        method="L-BFGS-B",
        bounds=[(-BOUND, BOUND)] * len(vector),
        callback=lambda vector: path.append(unravel(vector.copy())),
    )
    return unravel(result.x), path, int(result.nfev)


def predicted(parameters: Any, X: Any, y: Any, points: Any) -> tuple[Any, Any]:
    """Give the mean and the standard deviation of f at points, given the observations."""
    factor = linalg.cho_factor(covariance(parameters, X))
    shared = kernel(parameters, points, X)
    explained = np.sum(shared * linalg.cho_solve(factor, shared.T).T, axis=-1)
    return shared @ linalg.cho_solve(factor, y), np.sqrt(np.exp(2 * parameters["height"]) - explained)


def share_inside(X: Any, y: Any, curve: Any) -> float:
    """Give the share of a curve that is within two standard deviations of the mean, by the parameters found."""
    mean, deviation = predicted(fit(START, X, y)[0], X, y, GRID)
    return float(np.mean(np.abs(curve - mean) < 2 * deviation))


def observations(rng: np.random.Generator) -> tuple[Any, Any, Any]:
    """Draw a curve from the process, and observe it with noise, but not in the gap; give the whole curve too."""
    x = rng.uniform(0, 12, (4 * OBSERVED, 1))
    X = x[(x[:, 0] < GAP[0]) | (x[:, 0] > GAP[1])][:OBSERVED]
    places = np.concatenate([X, GRID])
    values = rng.multivariate_normal(np.zeros(len(places)), kernel(TRUTH, places, places), method="eigh")
    return X, values[:OBSERVED] + np.exp(TRUTH["noise"]) * rng.normal(size=OBSERVED), values[OBSERVED:]


def of_many_inputs(rng: np.random.Generator) -> tuple[Any, Any]:
    """Draw rows of inputs, of which the first two matter."""
    rows = rng.uniform(-2, 2, (ROWS, INPUTS))
    return rows, np.sin(2 * rows[:, 0]) + rows[:, 1] ** 2 / 2 - 0.7 + 0.1 * rng.normal(size=ROWS)


def draw(X: Any, y: Any, curve: Any, found: Any, path: list[Any], lengths: Any) -> Figure:
    """Show the curve before and after the fit, with its band, the way to the fit, and which inputs matter."""
    figure = Figure(figsize=(8, 5.6), layout="constrained")
    ((first, last), (way, relevance)) = figure.subplots(2, 2)
    for panel, parameters, title in ((first, START, "At first"), (last, found, "Of the largest likelihood")):
        mean, deviation = predicted(parameters, X, y, GRID)
        low, high = mean - 2 * deviation, mean + 2 * deviation
        panel.fill_between(GRID[:, 0], low, high, color=chapter.BLUE, alpha=0.25, lw=0, label="± 2 deviations")
        panel.plot(GRID, mean, color=chapter.BLUE, label="mean")
        panel.plot(GRID, curve, "--", color=chapter.GREY, lw=1, label="the curve itself")
        panel.plot(X, y, "o", color=chapter.ORANGE, markersize=3)
        panel.set(
            title=f"{title}: −log p(y) = {loss(parameters, X, y):.1f}", xlabel="x", xlim=(0, 12), ylim=(-4.5, 5.5)
        )
    first.legend(loc="upper right", fontsize=8)

    ells, sigmas = np.geomspace(0.15, 4, 40), np.geomspace(0.08, 1.4, 40)
    surface = np.array(
        [[loss({**found, "lengths": np.log([ell]), "noise": np.log(sigma)}, X, y) for ell in ells] for sigma in sigmas]
    )
    surface -= surface.min()
    way.contourf(ells, sigmas, surface, np.geomspace(0.3, surface.max(), 12), cmap="Blues", norm="log", extend="min")
    steps = np.exp([[p["lengths"].item(), p["noise"]] for p in path])
    way.plot(*steps.T, "o-", color=chapter.ORANGE, markersize=3, lw=1, label="L-BFGS")
    way.plot(np.exp(TRUTH["lengths"]), np.exp(TRUTH["noise"]), "*", color="black", markersize=11, label="drawn from")
    way.set(
        xscale="log", yscale="log", xlabel="length scale ℓ", ylabel="noise σ", title="−log p(y) at the fitted height"
    )
    way.set(xlim=ells[[0, -1]], ylim=sigmas[[0, -1]])
    way.set_xticks(ticks := [0.2, 0.5, 1, 2], ticks)
    way.set_yticks(ticks := [0.1, 0.2, 0.5, 1], ticks)
    way.minorticks_off()
    way.legend(loc="upper right", fontsize=8)

    colors = [chapter.BLUE] * MATTER + [chapter.GREY] * (INPUTS - MATTER)
    relevance.bar(np.arange(1, INPUTS + 1), 1 / lengths, color=colors)
    relevance.set(xlabel="input", ylabel="1 / ℓ", title=f"Which of {INPUTS} inputs matter: the first {MATTER}")
    for panel in (first, last, way, relevance):
        panel.title.set_fontsize(10)
    return figure


if __name__ == "__main__":
    main()
