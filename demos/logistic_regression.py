# %% [markdown]
# # Logistic regression: a linear model of P(y|x), and its likelihood
#
# A tumour of the breast is malignant, $y = 1$, or benign, $y = 0$. Of 569 tumours the mean radius $x$ of the nuclei of
# their cells is known. $y$ is no function of $x$: at a radius in the middle there are both. What can be learnt is how
# often it is which, the probability $P(y = 1 | x)$.

# %%
import itertools

import numpy as np
from matplotlib.figure import Figure
from sklearn.datasets import load_breast_cancer
from sklearn.model_selection import train_test_split

import autodiff as ad
import nn
from demos import chapter
from nn.distributions import Bernoulli
from nn.functional import sigmoid, softmax

options = chapter.begin("logistic_regression")

cancer = load_breast_cancer()
radius, malignant = cancer.data[:, 0], 1 - cancer.target
x, x_test, y, y_test = train_test_split(radius, malignant, test_size=0.5, random_state=options.seed)

# %% [markdown]
# ## The model: log-odds that are linear in x
#
# A line through the zeros and ones would leave the interval from 0 to 1. The *odds* $p / (1 - p)$ are any positive
# number, their logarithm any number at all. Let that be linear, and solve for the probability:
#
# $$\log\frac{p}{1 - p} = z = w x + b, \quad p = P(y = 1 | x) = \sigma(z) = \frac{1}{1 + e^{-z}}.$$
#
# It is the softmax of two classes, of which one has the logit zero. Here is what counting says, before any model: the
# log-odds go up with the radius about evenly.

# %%
edges = np.array([10, 12, 13, 14, 15, 16, 18])
inside = [(radius >= low) & (radius < high) for low, high in itertools.pairwise(edges)]
shares = np.array([malignant[rows].mean() for rows in inside])
middles = np.array([radius[rows].mean() for rows in inside])

print("radius      tumours  malignant    share   log-odds")
for low, high, rows, share in zip(edges, edges[1:], inside, shares):
    print(
        f"{low} to {high} {rows.sum():11} {malignant[rows].sum():10} {share:8.3f} {np.log(share / (1 - share)):10.2f}"
    )

# %% [markdown]
# ## The loss: the likelihood's negative logarithm is the binary cross-entropy
#
# With $p = \sigma(z)$, the model gives to what was seen the probability $p$ if $y = 1$, and $1 - p$ if $y = 0$: in one
# formula $p^y (1 - p)^{1 - y}$. The negative logarithm, averaged over $n$ tumours, is
#
# $$L = -\frac{1}{n} \sum_i \left[ y_i \log p_i + (1 - y_i) \log(1 - p_i) \right].$$
#
# Three ways to say it, at $w = 0.1$ and $b = -1$; the radius is from here on counted from its mean.

# %%
center = x.mean()
X = np.column_stack([x - center, np.ones(len(x))])  # the column of ones is for b


def loss(weights):
    """Give the mean binary cross-entropy."""
    return nn.functional.binary_cross_entropy_with_logits(X @ weights, y)


trial = np.array([0.1, -1.0])
p = sigmoid(X @ trial)
ways = {
    "the likelihood, by nn.distributions": -Bernoulli(logits=X @ trial).log_prob(y).mean(),
    "the formula": -np.mean(y * np.log(p) + (1 - y) * np.log(1 - p)),
    "nn.functional": loss(trial),
}
for name, value in ways.items():
    print(f"{name:37} {value:.12f}")

# %% [markdown]
# ## The gradient, by hand and by the engine
#
# As $\sigma'(z) = \sigma(z) (1 - \sigma(z)) = p (1 - p)$, the denominator of the logarithm's derivative cancels:
#
# $$\frac{\partial L}{\partial z_i}
#   = -\frac{1}{n} \left[ \frac{y_i}{p_i} - \frac{1 - y_i}{1 - p_i} \right] p_i (1 - p_i)
#   = \frac{p_i - y_i}{n},$$
#
# and by $w$ and $b$, for which $X$ has a column of radii and one of ones, it is $\frac{1}{n} X^\top (\sigma(z) - y)$.
#
# The second derivatives are $X^\top D X / n$ with $p_i (1 - p_i) > 0$ on the diagonal of $D$, so $L$ bends upward in
# every direction. As no radius parts the two kinds of tumours, this bowl has a lowest point, and only one: descent ends
# there.

# %%
gradient = ad.grad(loss)
weights, gradients = np.zeros(2), []
print("step        L    by hand: ∂L/∂w     ∂L/∂b   by engine: ∂L/∂w     ∂L/∂b")
for step in range(501):
    engine, hand = gradient(weights), X.T @ (sigmoid(X @ weights) - y) / len(y)
    gradients.append((hand, engine))
    if step in (0, 1, 2, 5, 10, 20, 50, 100, 500):
        print(f"{step:4} {loss(weights):8.5f} {hand[0]:17.6f} {hand[1]:9.6f} {engine[0]:18.6f} {engine[1]:9.6f}")
    weights = weights - 0.5 * engine

p = sigmoid(X @ weights)
by_engine = ad.hessian(loss)(weights)
by_formula = X.T @ (X * (p * (1 - p))[:, None]) / len(y)
print(f"the second derivatives differ by {np.abs(by_engine - by_formula).max():.1e}; their eigenvalues are", end=" ")
print("{:.3f} and {:.3f}".format(*np.linalg.eigvalsh(by_engine)))

# %% [markdown]
# ## What was learnt
#
# The derivative of the log-odds by $x$ is $w$ everywhere, so each further unit of radius multiplies the odds by $e^w$.
# At the radius where $z = 0$ both outcomes are equally probable. And where the gradient is zero, $\sum_i (p_i - y_i) =
# 0$: the probabilities add up to the number of malignant tumours.

# %%
w, b = weights


def probability(radius):
    """Give P(y = 1 | x)."""
    return sigmoid(w * (radius - center) + b)


def log_odds(radius):
    """Give the logarithm of the odds."""
    return np.log(probability(radius) / (1 - probability(radius)))


slopes = ad.elementwise_grad(log_odds)(np.array([10.0, 15.0, 20.0]))
pair = softmax(np.stack([np.zeros(len(x)), X @ weights], axis=1))
print(f"w = {w:.4f}: the odds times {np.exp(w):.2f} a unit")
print(f"slope of the log-odds at 10, 15 and 20: {slopes.round(4)}")
print(f"P = 1/2 at a radius of {center - b / w:.2f}")
print(f"malignant {y.sum()}, sum of the probabilities {p.sum():.4f}")
print(f"softmax of 0 and z differs from σ(z) by {np.abs(pair[:, 1] - p).max():.1e}")

# %% [markdown]
# ## Is it a probability? Calibration
#
# Of the tumours to which the model gives about 0.3, three in ten should be malignant. The other half of the data,
# which it was not fitted to, is put in order of the prediction and cut into seven groups. A share of $m$ cases is
# uncertain by $\sqrt{p (1 - p) / m}$, its standard error.

# %%
said = probability(x_test)
groups = np.array_split(np.argsort(said), 7)
predicted = np.array([said[group].mean() for group in groups])
observed = np.array([y_test[group].mean() for group in groups])
errors = np.array([np.sqrt((said[group] * (1 - said[group])).sum()) / len(group) for group in groups])

print("tumours   predicted   observed   standard error")
for group, *row in zip(groups, predicted, observed, errors):
    print("{:7} {:11.3f} {:10.3f} {:12.3f}".format(len(group), *row))

# %% [markdown]
# The curve from 0 to 1 is the line of the log-odds, seen through $\sigma$; the bars on the right are standard errors.

# %%
figure = Figure(figsize=(8, 3.4), layout="constrained")
curve, line, calibration = figure.subplots(1, 3)
grid = np.linspace(6, 24, 200)
for panel, values, of_shares in (
    (curve, probability, shares),
    (line, log_odds, np.log(shares / (1 - shares))),
):
    panel.plot(grid, values(grid), color=chapter.ORANGE, lw=2, label="the model")
    panel.plot(middles, of_shares, "s", color=chapter.BLUE, markersize=5, label="shares by counting")
    panel.set(xlabel="mean radius", xlim=(6, 24))
jitter = np.random.default_rng(options.seed).uniform(-0.03, 0.03, len(y))
curve.plot(x, y + jitter, ".", color=chapter.GREY, markersize=2)
curve.set(ylabel="P(malignant)")
curve.set_title("P(y = 1 | x), and tumours", fontsize=11)
line.set(ylabel="log-odds", ylim=(-8, 8))
line.set_title("Log-odds: a line", fontsize=11)
calibration.plot([0, 1], [0, 1], "--", color=chapter.GREY, lw=1)
calibration.errorbar(predicted, observed, errors, fmt="o", color=chapter.ORANGE, markersize=5, capsize=3)
calibration.set(xlabel="predicted probability", ylabel="observed share")
calibration.set_title("Calibration: new data", fontsize=11)
line.legend(loc="upper left", fontsize=8)
chapter.show(figure, "logistic_regression.png")
