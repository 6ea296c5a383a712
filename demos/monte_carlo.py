# %% [markdown]
# # Monte Carlo: averages of random draws give integrals, moments, and the gradient of an expectation
#
# An integral is an expectation in disguise. For $x$ uniform on $[-1, 1]$, whose density is $1/2$,
#
# $$\int_{-1}^1 f(x)\, dx = 2\, \mathrm{E}[f(x)] \approx \frac{2}{N} \sum_i f(x_i),$$
#
# and the mean of $N$ draws stands in for the expectation.

# %%
import math

import numpy as np
from matplotlib.figure import Figure

import autodiff as ad
from demos import chapter
from nn.distributions import Exponential, Normal, Uniform

options = chapter.begin("monte_carlo")
rng = np.random.default_rng(options.seed)


# %%
def integral(size, rng):
    """Estimate the integral of exp(-x²) from -1 to 1."""
    return 2 * np.exp(-(Uniform(-1.0, 1.0).sample(size, rng) ** 2)).mean()


# %% [markdown]
# Here $f(x) = \exp(-x^2)$, which has no antiderivative in elementary functions; the exact value, $\sqrt\pi\,
# \mathrm{erf}(1)$, tells how far off the sum is. It is off by chance, on the average by nothing, and typically by its
# standard deviation: the variances of independent draws add up, so
#
# $$\mathrm{E}\left[\left(\frac{2}{N} \sum_i f(x_i) - I\right)^2\right] = \frac{4\, \mathrm{Var}[f(x)]}{N},$$
#
# and the error falls as $1/\sqrt N$. That is slow, as a further digit takes a hundred times the draws; but in this law
# there is no dimension: it also holds where $x$ has a thousand components, and a grid could not even begin.

# %%
EXACT = math.sqrt(math.pi) * math.erf(1)
# Standard deviation of 2 f(x): the integral of f² is √(π/2) erf(√2).
SPREAD = math.sqrt(2 * math.sqrt(math.pi / 2) * math.erf(math.sqrt(2)) - EXACT**2)
SIZES = 10 ** np.arange(1, 7)
REPETITIONS = 50

estimates = np.array([[integral(size, rng) for _ in range(REPETITIONS)] for size in SIZES])
errors = np.sqrt(((estimates - EXACT) ** 2).mean(axis=1))
slope = np.polyfit(np.log10(SIZES), np.log10(errors), 1)[0]

print(f"∫ exp(-x²) dx from -1 to 1 = √π erf(1) = {EXACT:.6f}")
print(f"  draws   first sum   error over {REPETITIONS}   2 σ[f] / √N")
for size, row, error in zip(SIZES, estimates, errors):
    print(f"{size:7} {row[0]:11.6f} {error:15.6f} {SPREAD / math.sqrt(size):13.6f}")
print(f"the error falls as N to the power of {slope:.3f}")

# %% [markdown]
# ## Moments
#
# What describes a distribution are expectations too, and each is estimated by a mean over the draws:
#
# $$\begin{aligned}
# \text{mean} && \mu &= \mathrm{E}[x] \\
# \text{variance} && \sigma^2 &= \mathrm{E}[(x - \mu)^2] \\
# \text{skewness} && & \mathrm{E}[((x - \mu)/\sigma)^3] && \text{zero for what is symmetric} \\
# \text{covariance} && & \mathrm{E}[(x - \mathrm{E}[x])(y - \mathrm{E}[y])] && \text{zero for what is independent}
# \end{aligned}$$
#
# Here $x$ is exponential with the rate 2, and $y = x/2 + z$ with $z \sim N(0, 1)$.


# %%
def moments_of(x, y):
    """Give the mean, variance and skewness of x, and its covariance with y, along the last axis."""
    mean = x.mean(axis=-1, keepdims=True)
    from_mean = x - mean
    variance = (from_mean**2).mean(axis=-1)
    skewness = (from_mean**3).mean(axis=-1) / variance**1.5
    covariance = (from_mean * (y - y.mean(axis=-1, keepdims=True))).mean(axis=-1)
    return mean[..., 0], variance, skewness, covariance


# %% [markdown]
# How far a mean may be off is told by the scatter between a hundred groups of the draws.

# %%
GROUPS = 100

x = Exponential(2.0).sample(10**6, rng)
y = x / 2 + Normal(0.0, 1.0).sample(10**6, rng)
exact_moments = {"mean of x": 1 / 2, "variance of x": 1 / 4, "skewness of x": 2, "covariance of x, y": 1 / 8}
groups = moments_of(x.reshape(GROUPS, -1), y.reshape(GROUPS, -1))
moments = {
    name: (float(estimate), exact, group.std() / math.sqrt(GROUPS))
    for (name, exact), estimate, group in zip(exact_moments.items(), moments_of(x, y), groups)
}

print("a million draws    their mean    exact    standard error")
for name, (estimate, exact, error) in moments.items():
    print(f"{name:18} {estimate:10.5f} {exact:9.5f} {error:14.5f}")

# %% [markdown]
# ## The gradient of an expectation
#
# Training goes one step further: it needs the gradient of an expectation by the parameters of what is drawn. A draw has
# no derivative, but it can be moved out of the way. $x \sim N(\mu, \sigma^2)$ is $x = \mu + \sigma \varepsilon$ with
# $\varepsilon \sim N(0, 1)$, and $\varepsilon$ knows of neither $\mu$ nor $\sigma$, so the derivative may go inside:
#
# $$\frac{\partial}{\partial \mu} \mathrm{E}[f(x)] = \mathrm{E}[f'(\mu + \sigma \varepsilon)], \quad
# \frac{\partial}{\partial \sigma} \mathrm{E}[f(x)] = \mathrm{E}[f'(\mu + \sigma \varepsilon)\, \varepsilon].$$
#
# This is the reparameterization of Kingma and Welling (Auto-encoding variational Bayes, 2013). `rsample` draws so, and
# the engine does the rest: it differentiates $f$ of the draws.


# %%
def through_the_draws(f, mu, sigma, size, rng):
    """Differentiate f of each draw by μ and by σ; their means estimate the gradient of the expectation."""

    def of_draws(mus, sigmas):
        return f(Normal(mus, sigmas).rsample((), rng)).sum()

    # Each draw has a μ and a σ of its own, so that the scatter of the derivatives is seen
    return ad.grad(of_draws, argnums=(0, 1))(np.full(size, mu), np.full(size, sigma))


# %% [markdown]
# The other way, for draws that cannot be moved (those of a class, say), leaves $x$ alone and differentiates its
# probability:
#
# $$\frac{\partial}{\partial \theta} \mathrm{E}[f(x)] =
# \mathrm{E}\left[f(x) \frac{\partial}{\partial \theta} \log p(x; \theta)\right].$$


# %%
def through_the_density(f, mu, sigma, size, rng):
    """Differentiate instead the logarithm of each draw's density, weighted with f."""
    x = Normal(mu, sigma).sample(size, rng)

    def weighted(mus, sigmas):
        return (f(x) * Normal(mus, sigmas).log_prob(x)).sum()

    return ad.grad(weighted, argnums=(0, 1))(np.full(size, mu), np.full(size, sigma))


# %% [markdown]
# Both are right on the average. The second knows only values of $f$, not its slope, and here scatters several times as
# far: how far one draw does stands in brackets.

# %%
MU, SIGMA, DRAWS = 0.8, 0.5, 10**5
# f, and the gradient of E[f(x)] for x ~ N(μ, σ²), by μ and by σ
FUNCTIONS = {
    "x²": (np.square, lambda mu, sigma: (2 * mu, 2 * sigma)),
    "sin x": (
        np.sin,
        lambda mu, sigma: (np.cos(mu) * np.exp(-(sigma**2) / 2), -sigma * np.sin(mu) * np.exp(-(sigma**2) / 2)),
    ),
}

print(f"the gradient of E[f(x)], x ~ N({MU}, {SIGMA}²), from {DRAWS} draws")
print("                 exact    through x = μ + σ ε    through log p(x)")
gradients = {}
for name, (f, exact_gradient) in FUNCTIONS.items():
    rows = zip(
        exact_gradient(MU, SIGMA),
        through_the_draws(f, MU, SIGMA, DRAWS, rng),
        through_the_density(f, MU, SIGMA, DRAWS, rng),
    )
    for parameter, (exact, moved, weighted) in zip("μσ", rows):
        gradients[name, parameter] = (exact, moved, weighted)
        columns = f"{moved.mean():11.5f} ({moved.std():.2f})    {weighted.mean():11.5f} ({weighted.std():.2f})"
        print(f"∂/∂{parameter} E[{name}]".ljust(14), f"{exact:8.5f}  {columns}")

# %% [markdown]
# On the left the error of the integral falls as it should. On the right the gradient by $\mu$ is followed along $\mu$,
# by both ways, beside the exact one.

# %%
figure = Figure(figsize=(8, 3.9), layout="constrained")
left, right = figure.subplots(1, 2)

for size, row in zip(SIZES, np.abs(estimates - EXACT)):
    dots = left.loglog(np.full(REPETITIONS, size), row, ".", color=chapter.BLUE, markersize=4, alpha=0.35)
dots[0].set_label("one sum")
left.loglog(SIZES, errors, "o", color=chapter.ORANGE, label=f"root mean square, slope {slope:.3f}")
left.loglog(SIZES, SPREAD / np.sqrt(SIZES), "--", color="black", lw=1, label=r"$2\,\sigma[f]\,/\sqrt{N}$")
left.set(xlabel="draws $N$", ylabel="distance from the exact integral")
left.set_title("The error falls as $1/\\sqrt{N}$", fontsize=11)
left.set_ylim(1e-6, 10)
left.legend(loc="upper right", fontsize=8)

f, exact_gradient = FUNCTIONS["sin x"]
mus = np.linspace(-np.pi, np.pi, 41)
weighted = [through_the_density(f, mu, SIGMA, 100, rng)[0].mean() for mu in mus]
moved = [through_the_draws(f, mu, SIGMA, 100, rng)[0].mean() for mu in mus]
right.plot(mus, exact_gradient(mus, SIGMA)[0], color="black", lw=1, label=r"exact, $e^{-\sigma^2/2}\cos\mu$")
right.plot(mus, moved, "o", color=chapter.ORANGE, markersize=4.5, label=r"through $x = \mu + \sigma\varepsilon$")
right.plot(mus, weighted, "x", color=chapter.BLUE, markersize=5, label=r"through $\log p(x)$")
right.set(xlabel=r"mean $\mu$", ylabel=r"$\partial/\partial\mu\;\mathrm{E}[\sin x]$", ylim=(-1.5, 2.1))
right.set_title(f"A gradient from 100 draws, σ = {SIGMA}", fontsize=11)
right.legend(loc="upper right", fontsize=8)
chapter.show(figure, "monte_carlo.png")
