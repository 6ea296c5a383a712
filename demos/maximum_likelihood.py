# %% [markdown]
# # Maximum likelihood: why its logarithm, and what descent along it finds
#
# The likelihood of parameters $\theta$ is the probability (or its density) of all observations, drawn
# independently: a product. Its logarithm is a sum, and the negative mean of the terms is a loss:
#
# $$p(x_1, \ldots, x_N; \theta) = \prod_i p(x_i; \theta), \quad L(\theta) = -\frac{1}{N} \sum_i \log p(x_i; \theta).$$
#
# Both are largest, or smallest, at the same $\theta$, as the logarithm only rises.

# %%
import numpy as np
from matplotlib.figure import Figure

import autodiff as ad
from demos import chapter
from nn.distributions import Bernoulli, Categorical, Exponential, Normal, kl_divergence

options = chapter.begin("maximum_likelihood")
rng = np.random.default_rng(options.seed)

# %% [markdown]
# ## Why the logarithm: a product of a thousand likelihoods is zero
#
# The smallest number that a float64 can be is about $10^{-324}$. A product of factors below one gets there soon, and
# then it is 0 for every $\theta$, with a gradient of 0 that leads nowhere. The sum does not: its terms are numbers
# such as -2.

# %%
x = Normal(2.0, 1.5).sample(1000, rng)


def product(mu, x):
    """Give the likelihood."""
    return np.prod(np.exp(Normal(mu, 1.5).log_prob(x)))


def log_likelihood(mu, x):
    """Give the sum of the logarithms."""
    return Normal(mu, 1.5).log_prob(x).sum()


underflow = {}
print("    N      product    its slope by μ   sum of logs    its slope, at μ = 1")
for n in (1, 10, 100, 1000):
    underflow[n] = [f(1.0, x[:n]) for f in (product, ad.grad(product), log_likelihood, ad.grad(log_likelihood))]
    print("{:5} {:12.3e} {:17.3e} {:13.3f} {:12.3f}".format(n, *underflow[n]))

# %% [markdown]
# ## Descent reaches the closed form
#
# For the normal distribution, the derivatives by $\mu$ and $\sigma$ are zero at the mean and the variance of the
# observations,
#
# $$\mu = \frac{1}{N} \sum_i x_i, \quad \sigma^2 = \frac{1}{N} \sum_i (x_i - \mu)^2.$$
#
# Gradient descent, here by the logarithm of $\sigma$, which may be any number, ends there without knowing it.

# %%
STEPS = 400
SHOWN = [0, 1, 2, 5, 10, 20, 50, 100, STEPS]


def descend(loss, start, lr, *data):
    """Go down the gradient of a loss by its parameters; give them before each step, and after the last."""
    gradient = ad.grad(loss, argnums=tuple(range(len(start))))
    path = [start]
    for _ in range(STEPS):
        path.append(tuple(value - lr * slope for value, slope in zip(path[-1], gradient(*path[-1], *data))))
    return path


def normal_loss(mu, log_sigma, x):
    """Give the loss of a normal distribution."""
    return -Normal(mu, np.exp(log_sigma)).log_prob(x).mean()


walk = descend(normal_loss, (0.0, 0.0), 0.2, x)
path = np.array([(mu, np.exp(2 * log_sigma)) for mu, log_sigma in walk])
normal, closed_normal = path[-1], np.array([x.mean(), ((x - x.mean()) ** 2).mean()])
print("step               μ         σ²")
for step in SHOWN:
    print("{:4}    {:12.8f} {:10.8f}".format(step, *path[step]))
print("closed form {:8.8f} {:10.8f}".format(*closed_normal))

# %% [markdown]
# ## One sample's gradient: the right one on average, at a cost of O(1)
#
# The gradient of a mean is the mean of the gradients of its terms. So that of *one* term, with $i$ drawn at random, is
# the full gradient on average:
#
# $$E_i[-\nabla \log p(x_i; \theta)] = -\frac{1}{N} \sum_i \nabla \log p(x_i; \theta) = \nabla L(\theta).$$
#
# It is off by chance, by as much for a hundred thousand observations as for a hundred, and needs one term of $L$ where
# the full gradient needs $N$. A product has no such terms. `ad.vmap` gives the gradient of each observation by itself,
# and the loss counts the terms that it computes.

# %%
computed = 0


def counted_loss(mu, x):
    """Give the loss at σ = 1."""
    global computed
    computed += np.size(x)
    return normal_loss(mu, 0.0, x)


slope = ad.grad(counted_loss)
each_slope = ad.vmap(slope, in_axes=(None, 0))
costs, unbiased, spreads = [], [], []
print("        terms computed        ∂L/∂μ of    mean of the gradients   spread of")
print("     N  of all  of one             all    of one observation      these")
for n in (100, 1_000, 10_000, 100_000):
    many = Normal(2.0, 1.5).sample(n, rng)
    before, full, between, _ = computed, slope(1.0, many), computed, slope(1.0, many[0])
    costs.append([between - before, computed - between])
    single = each_slope(1.0, many)
    unbiased.append([full, single.mean()])
    spreads.append(single.std())
    print("{:6} {:7} {:7} {:15.9f} {:15.9f} {:17.4f}".format(n, *costs[-1], *unbiased[-1], spreads[-1]))

# %% [markdown]
# So descend by single observations: with $\sigma = 1$ and steps of $1/t$,
#
# $$\mu \leftarrow \mu - \frac{1}{t} (\mu - x_t)$$
#
# is after $t$ observations their mean. It comes close while a full gradient is not yet computed, and one pass through
# the data, at the price of *one* full gradient, gives the closed form.

# %%
mu, single_path, computed = 0.0, [], 0
for t, observation in enumerate(x, start=1):
    mu = mu - slope(mu, observation) / t
    single_path.append(mu)
    if t in (1, 10, 100, 1000):
        print(f"after {computed:4} terms    μ {mu:12.8f}    mean of the first {t:4}: {x[:t].mean():12.8f}")

# %% [markdown]
# ## Classes: counts over their total
#
# For $K$ classes, of which the $k$-th was seen $n_k$ times, the probabilities must add up to one. A multiplier
# $\lambda$ sees to that:
#
# $$\frac{\partial}{\partial p_k} \left[ -\sum_k n_k \log p_k + \lambda \left( \sum_k p_k - 1 \right) \right]
#   = -\frac{n_k}{p_k} + \lambda = 0, \quad p_k = \frac{n_k}{\lambda},$$
#
# and as these add up to $N / \lambda$, which must be one, $\lambda = N$ and $p_k = n_k / N$. There the likelihood
# would rise as steeply with each $p_k$, by $n_k / p_k = N$, so that nothing is won by shifting from one to another.
# Descent takes $p$ as the softmax of $z$, which always adds up to one, and needs no multiplier.

# %%
counts = np.bincount(Categorical(probs=[0.1, 0.2, 0.3, 0.4]).sample(500, rng))


def categorical_loss(z, counts):
    """Give the loss of the probabilities softmax(z)."""
    return -counts @ Categorical(logits=z).logits / counts.sum()


categorical = Categorical(logits=descend(categorical_loss, (np.zeros(4),), 2.0, counts)[-1][0]).probs
slopes = ad.grad(lambda p: counts @ np.log(p))(categorical)
print("class   count   descent    n / N    slope of the log-likelihood by p: λ")
for k, row in enumerate(zip(counts, categorical, counts / counts.sum(), slopes)):
    print("{:5} {:7} {:9.6f} {:8.6f} {:14.6f}".format(k, *row))

# %% [markdown]
# ## The estimate is a random variable
#
# The estimate of $\mu$ is a mean of $N$ draws, and would be another one for other draws. It is spread around the
# population's mean with the variance $\sigma^2 / N$, whatever the population is, if its variance is finite. For large
# $N$ it is even spread like a normal distribution: this is the central limit theorem, shown for three populations that
# are nothing of the kind. The distance is the largest one between the two distribution functions; chance alone puts
# 20000 means about 0.006 away.

# %%
SIZES, MEANS = 4 ** np.arange(5), 20000


def humps(shape, rng):
    """Draw from a mixture: three in ten around 2, the others around -2."""
    return Normal(4 * Bernoulli(0.3).sample(shape, rng) - 2, 0.5).sample((), rng)


POPULATIONS = {  # how to draw from it, its mean and its variance
    "exponential": (Exponential(1.0).sample, 1.0, 1.0),
    "Bernoulli": (Bernoulli(0.2).sample, 0.2, 0.16),
    "two humps": (humps, -0.8, 16 * 0.3 * 0.7 + 0.25),
}
means, ratios, distances = {}, {}, {}
print("the mean of N draws: its variance over σ²/N, and its distance from N(μ, σ²/N)")
print("population " + "".join(f"N = {n}".rjust(13) for n in SIZES))
steps = np.arange(MEANS + 1) / MEANS
for name, (draw, mean, variance) in POPULATIONS.items():
    means[name] = np.array([draw((MEANS, n), rng).mean(axis=1) for n in SIZES])
    ratios[name] = means[name].var(axis=1) * SIZES / variance
    cdf = Normal(mean, np.sqrt(variance / SIZES)[:, None]).cdf(np.sort(means[name]))
    distances[name] = np.maximum(np.abs(steps[1:] - cdf), np.abs(steps[:-1] - cdf)).max(axis=1)
    print(f"{name:11}" + "".join(f"{a:7.3f} {b:5.3f}" for a, b in zip(ratios[name], distances[name])))

# %% [markdown]
# ## A classifier: the loss is a cross-entropy
#
# A classifier says $q(y|x)$ for the classes $y$ of an input $x$. Let $p(y|x)$ be the shares of the classes among the
# observations with this $x$. Counted together by class, the loss is a cross-entropy, which splits in two:
#
# $$\begin{aligned}
# -\frac{1}{N} \sum_i \log q(y_i | x_i) &= E[-\sum_y p \log q] \\
#                                       &= E[-\sum_y p \log p] + E[\sum_y p \log(p / q)].
# \end{aligned}$$
#
# First comes the entropy of $p$, which no model changes; then the Kullback-Leibler divergence of $p$ from $q$, never
# negative, and zero only for $q = p$. So likelihood is largest where the model is closest to the data. The classifier
# here is linear in $x$, and the data are not: some divergence stays.

# %%
inputs = np.linspace(-2, 2, 9)[:, None]
classes = Categorical(logits=np.hstack([np.sin(2 * inputs), 2 * inputs, 1 - inputs**2 / 2])).sample(60, rng)
table = np.stack([(classes == k).sum(axis=0) for k in range(3)], axis=1)  # of each input, the count of each class
observations = np.tile(inputs, (60, 1)), classes.ravel()


def classifier_loss(W, b, X, y):
    """Give the loss of a classifier, observation by observation."""
    return -Categorical(logits=X @ W + b).log_prob(y).mean()


def parts_of(W, b):
    """Give the negative log-likelihood, cross-entropy, entropy and divergence, each computed by itself."""
    q, p = Categorical(logits=inputs @ W + b), Categorical(probs=table)
    cross = -(p.probs * q.logits).sum(axis=1)
    return [classifier_loss(W, b, *observations), *(v.mean() for v in (cross, p.entropy(), kl_divergence(p, q)))]


parts = np.array([parts_of(*w) for w in descend(classifier_loss, (np.zeros((1, 3)), np.zeros(3)), 0.2, *observations)])
print("step   likelihood  cross-entropy      entropy   divergence          sum")
for step in SHOWN:
    likelihood, cross, entropy, divergence = parts[step]
    print(f"{step:4} {likelihood:12.8f} {cross:14.8f} {entropy:12.8f} {divergence:12.8f} {entropy + divergence:12.8f}")

# %% [markdown]
# Above, the means of more and more draws, with the normal distribution that they come close to. Below, descent by
# single observations, long before one full gradient is done; full descent on the map of the loss; and the loss of the
# classifier, as the sum of its two parts.

# %%
figure = Figure(figsize=(8, 5.6), layout="constrained")
top, (left, middle, right) = figure.subplots(2, 3)
colors = (chapter.GREY, chapter.BLUE, chapter.ORANGE)
for panel, (name, (_, mean, variance)) in zip(top, POPULATIONS.items()):
    for n, of_size, color in zip(SIZES, means[name], colors):
        width = 1 / n if name == "Bernoulli" else 0.2 * np.sqrt(variance / n)
        low = -width / 2 if name == "Bernoulli" else of_size.min()
        edges = np.arange(low, of_size.max() + width, width)
        panel.hist(of_size, edges, density=True, color=color, alpha=0.45, label=f"N = {n}")
        if n > 1:
            grid = mean + np.linspace(-4, 4, 200) * np.sqrt(variance / n)
            panel.plot(grid, np.exp(Normal(mean, np.sqrt(variance / n)).log_prob(grid)), color=color, lw=1.2)
    panel.plot([], color="black", lw=1.2, label=r"$N(\mu, \sigma^2/N)$")
    panel.set(title=f"Means of N draws: {name}", yticks=[])
    panel.set_xlim(mean - 2 * np.sqrt(variance), mean + 3.4 * np.sqrt(variance))

terms = np.arange(1, 1000)
left.loglog(terms, np.abs(single_path[:-1] - x.mean()), color=chapter.BLUE, lw=1, label="one by one")
left.loglog(terms, 1.5 / np.sqrt(terms), "--", color="black", lw=1, label=r"$\sigma / \sqrt{t}$")
left.axvline(1000, color=chapter.ORANGE, lw=2, label="one full gradient")
left.set(xlabel="terms computed, t", title="Distance of μ to the mean", xlim=(1, 2000), ylim=(1e-3, 200))

mu, sigma = np.meshgrid(np.linspace(-0.4, 4, 100), np.linspace(0.8, 3.2, 100))
surface = np.log(sigma) + (closed_normal[1] + (closed_normal[0] - mu) ** 2) / (2 * sigma**2) + np.log(2 * np.pi) / 2
levels = [surface.min(), *(surface.min() + np.geomspace(0.01, 3, 9))]
middle.contourf(mu, sigma, surface, levels, cmap="Blues", extend="max", norm="log")
middle.plot(path[:, 0], np.sqrt(path[:, 1]), "o-", color=chapter.ORANGE, markersize=3, lw=1, label="descent")
middle.plot(closed_normal[0], np.sqrt(closed_normal[1]), "*", color="black", markersize=11, label="closed form")
middle.set(xlabel="μ", ylabel="σ", title="Loss of a normal")

shown = np.arange(61)
shades = {"colors": [chapter.BLUE, chapter.ORANGE], "alpha": 0.5, "labels": ["entropy", "divergence"]}
right.stackplot(shown, *parts[shown, 2:].T, **shades)
right.plot(shown[::4], parts[shown[::4], 0], "o", color="black", markersize=3, label="−log-likelihood")
right.set(xlabel="steps", title="Loss of a classifier", xlim=(0, 60), ylim=(0, 1.8))
top[0].set_ylabel("density")
for panel in (*top, left, middle, right):
    panel.legend(loc="upper right", fontsize=8, framealpha=1)
    panel.title.set_fontsize(10)
chapter.show(figure, "maximum_likelihood.png")
