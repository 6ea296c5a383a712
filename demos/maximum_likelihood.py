"""Maximum likelihood: gradient descent reaches the closed forms, and for a classifier its loss is the cross-entropy.

The likelihood of parameters θ is the probability (or its density) of all observations, of which each is drawn alone.
Its logarithm is a sum, one term for each observation, and the negative mean of the terms is a loss:

    L(θ) = -1/N Σᵢ log p(xᵢ; θ).

For the normal distribution, the derivatives by μ and σ are zero at the mean and the variance of the observations,

    μ = 1/N Σᵢ xᵢ,    σ² = 1/N Σᵢ (xᵢ - μ)².

For K classes, of which the k-th was seen nₖ times, the probabilities must add up to one. A multiplier λ sees to that:

    ∂/∂pₖ [-Σₖ nₖ log pₖ + λ (Σₖ pₖ - 1)] = -nₖ / pₖ + λ = 0,    so  pₖ = nₖ / λ;

and as these add up to N / λ, which must be one, λ = N and pₖ = nₖ / N: the counts over their total. At this point the
likelihood would rise as steeply with each pₖ, by nₖ / pₖ = N, so that nothing is won by shifting from one to another.
Gradient descent takes p = softmax(z), which always adds up to one, and needs no multiplier. What it reaches is printed
beside both closed forms.

The estimate of μ is a mean of N draws, and would be another one for other draws. It is spread around the population's
mean with the variance σ²/N, whatever the population is, if its variance σ² is finite. For large N it is even spread
like a normal distribution: this is the central limit theorem, shown for three populations that are nothing of the kind.
The distance printed is the largest one between the two distribution functions; chance alone puts 20000 means about
0.006 away.

A classifier says q(y|x) for the classes y of an input x. Let p(y|x) be the shares of the classes among the observations
with this x. The observations counted together by class, the loss is a cross-entropy, which splits in two:

    -1/N Σᵢ log q(yᵢ|xᵢ) = E[-Σ p log q] = E[-Σ p log p] + E[Σ p log (p / q)],

over the classes y in Σ and the inputs x in E. First comes the entropy of p, which no model changes; then the
Kullback-Leibler divergence of p from q, never negative, and zero only for q = p. So likelihood is largest where the
model is closest to the data. The classifier here is linear in x, and the data are not: some divergence stays.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from matplotlib.figure import Figure

import autodiff as ad
from demos import chapter
from nn.distributions import Bernoulli, Categorical, Exponential, Normal, kl_divergence

STEPS = 400
SHOWN = [0, 1, 2, 5, 10, 20, 50, 100, STEPS]
SIZES: Any = 4 ** np.arange(5)
MEANS = 20000
COLORS = (chapter.GREY, chapter.BLUE, chapter.ORANGE)


def humps(shape: tuple[int, ...], rng: np.random.Generator) -> Any:
    """Draw from a mixture: three in ten around 2, the others around -2."""
    return Normal(4 * Bernoulli(0.3).sample(shape, rng) - 2, 0.5).sample((), rng)


# How to draw from a population, its mean and its variance
POPULATIONS: dict[str, tuple[Callable[..., Any], float, float]] = {
    "exponential": (Exponential(1.0).sample, 1.0, 1.0),
    "Bernoulli": (Bernoulli(0.2).sample, 0.2, 0.16),
    "two humps": (humps, -0.8, 16 * 0.3 * 0.7 + 0.25),
}


def main(arguments: Sequence[str] | None = None) -> dict[str, Any]:
    """Run the chapter, and give the figures that it is about."""
    options = chapter.Parser("maximum_likelihood", __doc__).parse(arguments)
    rng = np.random.default_rng(options.seed)

    x = Normal(2.0, 1.5).sample(200, rng)
    path = descend(normal_loss, (0.0, 0.0), 0.2, x)
    normal = np.array([(mu, np.exp(2 * log_sigma)) for mu, log_sigma in path])
    closed_normal = np.array([x.mean(), ((x - x.mean()) ** 2).mean()])
    print("200 draws of a normal distribution\nstep               μ         σ²")
    for step in SHOWN:
        print("{:4}    {:12.8f} {:10.8f}".format(step, *normal[step]))
    print("closed form {:8.8f} {:10.8f}\n".format(*closed_normal))

    counts = np.bincount(Categorical(probs=[0.1, 0.2, 0.3, 0.4]).sample(500, rng))
    final = descend(categorical_loss, (np.zeros(4),), 2.0, counts)[-1][0]
    p = Categorical(logits=final).probs
    slopes = ad.grad(lambda p: counts @ np.log(p))(p)
    print("500 draws of a class\nclass   count   descent    n / N    slope of the log-likelihood by p: λ")
    for k, row in enumerate(zip(counts, p, counts / counts.sum(), slopes)):
        print("{:5} {:7} {:9.6f} {:8.6f} {:14.6f}".format(k, *row))

    means = {name: sampling(name, rng) for name in POPULATIONS}
    distances = {name: [distance(name, n, of_size) for n, of_size in means[name].items()] for name in POPULATIONS}
    ratios = {}
    print("\nthe mean of N draws: its variance over σ²/N, and its distance from N(μ, σ²/N)")
    print("population  " + "".join(f"N = {n}".rjust(16) for n in SIZES))
    for name, (_, _, variance) in POPULATIONS.items():
        ratios[name] = [of_size.var() * n / variance for n, of_size in means[name].items()]
        print(f"{name:12}" + "".join(f"{a:9.3f} {b:6.3f}" for a, b in zip(ratios[name], distances[name])))

    inputs, table = classified(rng)
    weights = (np.zeros((1, 3)), np.zeros(3))
    walk = descend(classifier_loss, weights, 0.2, *observations(inputs, table))
    rows = np.array([parts(W, b, inputs, table) for W, b in walk])
    print("\na classifier: negative log-likelihood = cross-entropy = entropy + divergence")
    print("step   likelihood  cross-entropy      entropy   divergence          sum")
    for step in SHOWN:
        likelihood, cross, entropy, divergence = rows[step]
        print(
            f"{step:4} {likelihood:12.8f} {cross:14.8f} {entropy:12.8f} {divergence:12.8f} {entropy + divergence:12.8f}"
        )

    chapter.save(draw(x, normal, closed_normal, means, rows), options.output, "maximum_likelihood.png")
    return {
        "normal": normal[-1],
        "closed_normal": closed_normal,
        "categorical": p,
        "counts": counts,
        "slopes": slopes,
        "ratios": ratios,
        "distances": distances,
        "parts": rows,
    }


def descend(loss: Callable[..., Any], start: tuple[Any, ...], lr: float, *data: Any) -> list[tuple[Any, ...]]:
    """Go down the gradient of a loss by its parameters; give them before each step, and after the last."""
    gradient = ad.grad(loss, argnums=tuple(range(len(start))))
    path = [start]
    for _ in range(STEPS):
        path.append(tuple(value - lr * slope for value, slope in zip(path[-1], gradient(*path[-1], *data))))
    return path


def normal_loss(mu: Any, log_sigma: Any, x: Any) -> Any:
    """Give the loss of a normal distribution. The logarithm of σ may be any number, so it can be descended by."""
    return -Normal(mu, np.exp(log_sigma)).log_prob(x).mean()


def categorical_loss(z: Any, counts: Any) -> Any:
    """Give the loss of the probabilities softmax(z)."""
    return -counts @ Categorical(logits=z).logits / counts.sum()


def classifier_loss(W: Any, b: Any, X: Any, y: Any) -> Any:
    """Give the loss of a classifier, observation by observation."""
    return -Categorical(logits=X @ W + b).log_prob(y).mean()


def classified(rng: np.random.Generator) -> tuple[Any, Any]:
    """Give nine inputs, and how often each was seen with each of three classes."""
    inputs = np.linspace(-2, 2, 9)[:, None]
    truth = Categorical(logits=np.hstack([np.sin(2 * inputs), 2 * inputs, 1 - inputs**2 / 2]))
    labels = truth.sample(60, rng)
    return inputs, np.stack([(labels == k).sum(axis=0) for k in range(3)], axis=1)


def observations(inputs: Any, table: Any) -> tuple[Any, Any]:
    """Write the table out: an input and a class for each observation."""
    row, label = np.indices(table.shape)
    return inputs[np.repeat(row, table.ravel())], np.repeat(label, table.ravel())


def parts(W: Any, b: Any, inputs: Any, table: Any) -> tuple[Any, ...]:
    """Give the negative log-likelihood, cross-entropy, entropy and divergence, each computed by itself."""
    q = Categorical(logits=inputs @ W + b)
    p = Categorical(probs=table)
    share = table.sum(axis=1) / table.sum()
    cross = -(p.probs * q.logits).sum(axis=1)
    likelihood = classifier_loss(W, b, *observations(inputs, table))
    return likelihood, share @ cross, share @ p.entropy(), share @ kl_divergence(p, q)


def sampling(name: str, rng: np.random.Generator) -> dict[int, Any]:
    """Give many means of as many draws of a population as each size says."""
    return {int(n): POPULATIONS[name][0]((MEANS, int(n)), rng).mean(axis=1) for n in SIZES}


def distance(name: str, n: int, means: Any) -> Any:
    """Give the largest distance between the distribution functions of the means, and of the normal distribution."""
    _, mean, variance = POPULATIONS[name]
    normal = Normal(mean, np.sqrt(variance / n)).cdf(np.sort(means))
    steps = np.arange(MEANS + 1) / MEANS
    return max(np.abs(steps[1:] - normal).max(), np.abs(steps[:-1] - normal).max())


def draw(x: Any, path: Any, closed: Any, means: dict[str, dict[int, Any]], rows: Any) -> Figure:
    """Show the means of draws, how their variance falls, the descent to the normal's parameters, and the two parts."""
    figure = Figure(figsize=(8, 5.6), layout="constrained")
    top, (left, middle, right) = figure.subplots(2, 3)

    for panel, (name, (_, mean, variance)) in zip(top, POPULATIONS.items()):
        for n, color in zip((1, 4, 16), COLORS):
            width = 1 / n if name == "Bernoulli" else 0.2 * np.sqrt(variance / n)
            low = -width / 2 if name == "Bernoulli" else means[name][n].min()
            edges = np.arange(low, means[name][n].max() + width, width)
            panel.hist(means[name][n], edges, density=True, color=color, alpha=0.45, label=f"N = {n}")
            if n > 1:
                grid = mean + np.linspace(-4, 4, 200) * np.sqrt(variance / n)
                panel.plot(grid, np.exp(Normal(mean, np.sqrt(variance / n)).log_prob(grid)), color=color, lw=1.2)
        panel.plot([], color="black", lw=1.2, label=r"$N(\mu, \sigma^2/N)$")
        panel.set(title=f"Means of N draws: {name}", yticks=[])
        panel.set_xlim(mean - 2 * np.sqrt(variance), mean + 3.4 * np.sqrt(variance))
        panel.legend(loc="upper right", fontsize=8)

    for (name, (_, _, variance)), color, marker in zip(POPULATIONS.items(), COLORS, "os^"):
        left.loglog(SIZES, [means[name][n].var() for n in SIZES], marker, color=color, markersize=5, label=name)
        left.loglog(SIZES, variance / SIZES, color=color, lw=1)
    left.set(xlabel="draws N", title="Variance of the mean")
    left.set_ylim(3e-4, 200)
    left.plot([], color="black", lw=1, label=r"$\sigma^2/N$")
    left.legend(loc="upper right", fontsize=8)

    mu, sigma = np.meshgrid(np.linspace(-0.4, 4, 100), np.linspace(0.8, 3.2, 100))
    surface = np.log(sigma) + (closed[1] + (closed[0] - mu) ** 2) / (2 * sigma**2) + np.log(2 * np.pi) / 2
    levels = surface.min() + np.geomspace(0.01, 3, 9)
    middle.contourf(mu, sigma, surface, [surface.min(), *levels], cmap="Blues", extend="max", norm="log")
    middle.plot(path[:, 0], np.sqrt(path[:, 1]), "o-", color=chapter.ORANGE, markersize=3, lw=1, label="descent")
    middle.plot(closed[0], np.sqrt(closed[1]), "*", color="black", markersize=11, label="closed form")
    middle.set(xlabel="μ", ylabel="σ", title="Loss of a normal")
    middle.legend(loc="upper right", fontsize=8, framealpha=1)

    shown = np.arange(61)
    likelihood, _, entropy, divergence = rows[shown].T
    right.stackplot(
        shown, entropy, divergence, colors=[chapter.BLUE, chapter.ORANGE], alpha=0.5, labels=["entropy", "divergence"]
    )
    right.plot(shown[::4], likelihood[::4], "o", color="black", markersize=3, label="−log-likelihood")
    right.set(xlabel="steps", title="Loss of a classifier", xlim=(0, 60), ylim=(0, 1.8))
    right.legend(loc="upper right", fontsize=8)
    top[0].set_ylabel("density")
    for panel in (*top, left, middle, right):
        panel.title.set_fontsize(10)
    return figure


if __name__ == "__main__":
    main()
