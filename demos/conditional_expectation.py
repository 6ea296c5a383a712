# %% [markdown]
# # Conditional expectation: what a network is trained towards, by squared error and by cross-entropy
#
# Pairs $(x, y)$ come from a joint distribution. Counting how many of $n$, say $n_{xy}$, fall into each cell of a grid
# estimates it, and with it the other two:
#
# $$P(x, y) \approx \frac{n_{xy}}{n}, \quad P(x) = \sum_y P(x, y), \quad
#   P(y | x) = \frac{P(x, y)}{P(x)}.$$
#
# Here the truth is known. $x$ has the density $(4 + x) / 16$ on the interval from -2 to 2. With probability
# $\sigma(2x)$, $y$ lies around one branch, else around another one, 2 below:
#
# $$y = \frac{1}{2} \sin 2x + s + (0.4 - 0.1 x) \varepsilon, \quad s = \pm 1, \quad P(s = 1 | x) = \sigma(2x),$$
#
# with a normal $\varepsilon$. So $E[y|x] = \frac{1}{2} \sin 2x + 2 \sigma(2x) - 1$ runs between the branches, where
# hardly any $y$ is: the mean says nothing of that, $P(y | x)$ does.

# %%
import numpy as np
from matplotlib.figure import Figure
from scipy.special import ndtr, xlogy

import autodiff as ad
import nn
from demos import chapter
from nn.functional import sigmoid, softmax

options = chapter.begin("conditional_expectation")
rng = np.random.default_rng(options.seed)

# %%
X_EDGES = np.linspace(-2, 2, 25)
Y_EDGES = np.linspace(-3, 3, 25)  # what lies beyond is counted in the first and the last cell


def draw_pairs(n, rng):
    """Draw x by the inverse of its distribution function, and y given x."""
    x = np.sqrt(4 + 32 * rng.random(n)) - 4
    s = np.where(rng.random(n) < sigmoid(2 * x), 1, -1)
    return x, np.sin(2 * x) / 2 + s + (0.4 - 0.1 * x) * rng.normal(size=n)


def truth(x):
    """Give E[y|x], Var(y|x), and the probability of each cell of y given x."""
    upper, spread, middle = sigmoid(2 * x), 0.4 - 0.1 * x, np.sin(2 * x) / 2
    z = [(Y_EDGES[1:-1] - (middle + s)[:, None]) / spread[:, None] for s in (1, -1)]
    below = upper[:, None] * ndtr(z[0]) + (1 - upper)[:, None] * ndtr(z[1])
    return middle + 2 * upper - 1, 4 * upper * (1 - upper) + spread**2, np.diff(below, axis=1, prepend=0, append=1)


def cell_of(y):
    """Give the number of the cell that each y is in."""
    return np.searchsorted(Y_EDGES[1:-1], y)


def by_cell(x, values):
    """Give the mean of values in each cell of x."""
    return np.histogram(x, X_EDGES, weights=values)[0] / np.histogram(x, X_EDGES)[0]


def count(x, y):
    """Give P(x, y), by cells of x and of y, and P(y|x), a row for each cell of x."""
    joint = np.histogram2d(x, np.clip(y, Y_EDGES[0], Y_EDGES[-1]), bins=(X_EDGES, Y_EDGES))[0] / len(x)
    return joint, joint / joint.sum(axis=1, keepdims=True)


# Where estimates are compared with the truth: 20 points in each cell of x, weighted by the density
points = -2 + (np.arange(480) + 0.5) / 120
density = (4 + points) / (4 + points).sum()
mean, variance, distribution = truth(points)
exact_joint = (density[:, None] * distribution).reshape(24, 20, 24).sum(axis=1)
samples = {n: draw_pairs(n, rng) for n in (1_000, 10_000, 100_000)}
x, y = samples[100_000]
joint, conditional = count(x, y)

print(f"100000 pairs, y from 1.00 to 1.25{'P(x)':>6}{'P(x, y)':>18}{'P(y|x)':>18}")
print("x                       counted   exact   counted   exact   counted   exact")
for k in range(0, 24, 4):
    P, exact = joint[k, 16], exact_joint[k, 16]
    marginals = f"{joint[k].sum():7.4f} {exact_joint[k].sum():7.4f}"
    conditionals = f"{conditional[k, 16]:7.4f} {exact / exact_joint[k].sum():7.4f}"
    print(f"from {X_EDGES[k]:5.2f} to {X_EDGES[k + 1]:5.2f}     {marginals}   {P:7.4f} {exact:7.4f}   {conditionals}")

# %% [markdown]
# ## E[y|x] minimises the squared error: the proof, and its numbers
#
# Hold $x$, and foretell $y$ by a number $c$. Its expected squared error, with the square multiplied out, is
#
# $$\begin{aligned}
# (1) && g(c) &= E[(y - c)^2 | x] \\
# (2) && g(c) &= E[y^2 | x] - 2 c E[y|x] + c^2
# \end{aligned}$$
#
# as $c$ is no random variable and comes out of the expectation. This is a parabola in $c$:
#
# $$\begin{aligned}
# (3) && g'(c) &= 2 c - 2 E[y|x] = 0 \text{ for } c = E[y|x] \text{ only} \\
# (4) && g''(c) &= 2 > 0, \text{ so this is a minimum} \\
# (5) && g(c) &= g(E[y|x]) + (c - E[y|x])^2, \quad g(E[y|x]) = \text{Var}(y|x)
# \end{aligned}$$
#
# The numbers are those of all pairs in one cell of $x$, and the derivatives the engine's, which knows no proof.

# %%
here = y[(x >= X_EDGES[14]) & (x < X_EDGES[15])]
m, var = here.mean(), here.var()


def g(c):
    """Give the mean squared error of the number c."""
    return ((here - c) ** 2).mean()


proof = {
    "(1) mean of (y - c)²": g,
    "(2) E[y²|x] - 2c E[y|x] + c²": lambda c: (here**2).mean() - 2 * c * m + c**2,
    "(3) g'(c), by the engine": ad.grad(g),
    "    2c - 2E[y|x]": lambda c: 2 * c - 2 * m,
    "(4) g''(c), by the engine": ad.grad(ad.grad(g)),
    "(5) Var(y|x) + (c - E[y|x])²": lambda c: var + (c - m) ** 2,
}
numbers = {line: np.array([f(c) for c in (-1.0, 0.0, m, 1.0)]) for line, f in proof.items()}
print(f"{len(here)} pairs, x from {X_EDGES[14]:.2f} to {X_EDGES[15]:.2f}: E[y|x] {m:.6f}, Var(y|x) {var:.6f}")
print(f"{'c':30} {-1:10} {0:10} {'E[y|x]':>10} {1:10}")
for line, row in numbers.items():
    print(f"{line:30} " + " ".join(f"{value:10.6f}" for value in row.round(9) + 0.0))

# %% [markdown]
# A function $f$ says a number at every $x$. Its error is the mean of those at each $x$, and each is smallest by
# itself:
#
# $$E[(y - f(x))^2] = \sum_x P(x) g_x(f(x)) = E[(f(x) - E[y|x])^2] + E[\text{Var}(y|x)],$$
#
# with the derivatives $2 P(x) (f(x) - E[y|x])$ and $2 P(x)$ by the number $f(x)$. The last part does not depend on
# $f$: noise that no function of $x$ can foretell. So says the engine of a function with one number in each of the 24
# cells:

# %%
cell = np.searchsorted(X_EDGES[1:-1], x, side="right")
marginal, counted_mean = joint.sum(axis=1), by_cell(x, y)


def error(f):
    """Give the mean squared error of a number for each cell of x."""
    return ((y - f[cell]) ** 2).mean()


slopes = {"f = E[y|x]": ad.grad(error)(counted_mean), "f = 0": ad.grad(error)(np.zeros(24))}
curvatures = ad.hessian(error)(counted_mean)
by_proof = 2 * marginal * (0 - counted_mean)
split_error = error(np.zeros(24)), marginal @ counted_mean**2, marginal @ by_cell(x, (y - counted_mean[cell]) ** 2)
print("error of f = 0: {:.5f} = {:.5f} + {:.5f}".format(*split_error))
print("largest derivative at f = E[y|x]         ", f"{np.abs(slopes['f = E[y|x]']).max():.1e}")
print("at f = 0, difference to 2P(x)(f - E[y|x])", f"{np.abs(slopes['f = 0'] - by_proof).max():.1e}")
print("second derivatives, difference to 2P(x)  ", f"{np.abs(curvatures - np.diag(2 * marginal)).max():.1e}")
print("the smallest of them                     ", f"{np.diag(curvatures).min():.4f}")

# %% [markdown]
# ## What networks learn
#
# So a network that is large enough, with data enough, approaches $E[y|x]$ if its loss is the squared error, and what
# remains of that is $E[\text{Var}(y|x)]$. For a $q(y|x)$ with the cross-entropy as its loss,
#
# $$E[-\log q(y|x)] = E[\mathrm{KL}(P \| q)] + H(y|x).$$
#
# The divergence $\mathrm{KL}$ is zero for $q = P$ only: a network with a softmax over the cells of $y$ approaches the
# whole conditional distribution, and its loss the conditional entropy $H$.
#
# Both ways of estimation come closer to the truth the more pairs there are. The networks come closer than counting:
# they take $P(y|x)$ to be smooth in $x$, where counting starts anew in each cell, and has one number for all of it. The
# losses of the last network are those of the truth, up to what chance makes of 500000 pairs: about 0.001, up or down.

# %%
STEPS, BATCH = 2500, 500


def learn(x, targets, loss, outputs):
    """Train a network; with few pairs it sees them more often, for as many steps."""
    model = nn.MLP([1, 24, 24, outputs], activation="tanh", rng=rng, dtype=np.float64)
    epochs = STEPS * BATCH // len(x)
    optimizer = nn.optim.Adam(model.parameters(), lr=0.02)
    schedule = nn.optim.CosineAnnealingLR(optimizer, epochs)
    how = {"epochs": epochs, "batch_size": BATCH, "rng": rng, "progress": False}
    nn.fit(model, x[:, None], targets, loss=loss, optimizer=optimizer, schedule=schedule, **how)
    return model


def difference(found, wanted):
    """Give the root mean square difference, by the density of x and the same for each cell of y."""
    squares = (found - wanted).reshape(480, -1) ** 2
    return np.sqrt(density @ squares.mean(axis=1))


fresh_x, fresh_y = draw_pairs(500_000, rng)
cells_of_points = np.repeat(np.arange(24), 20)
mean_differences, distribution_differences, squared_errors, cross_entropies = [], [], [], []
print("root mean square difference to the truth, and losses on 500000 other pairs")
print("        E[y|x]               P(y|x)")
print("pairs   counting  network    counting  network    squared error   cross-entropy")
for n, (few_x, few_y) in samples.items():
    regression = learn(few_x, few_y[:, None], "mse_loss", 1)
    classifier = learn(few_x, cell_of(few_y), "cross_entropy", 24)
    expected, learnt = regression(points[:, None]).data[:, 0], softmax(classifier(points[:, None])).data
    counted = by_cell(few_x, few_y), count(few_x, few_y)[1]
    mean_differences.append([difference(counted[0][cells_of_points], mean), difference(expected, mean)])
    distribution_differences.append(
        [difference(counted[1][cells_of_points], distribution), difference(learnt, distribution)]
    )
    squared_errors.append(nn.evaluate(regression, fresh_x[:, None], fresh_y[:, None], loss="mse_loss")[0])
    cross_entropies.append(nn.evaluate(classifier, fresh_x[:, None], cell_of(fresh_y))[0])
    columns = "    ".join("{:8.4f} {:8.4f}".format(*d[-1]) for d in (mean_differences, distribution_differences))
    print(f"{n:<7} {columns}    {squared_errors[-1]:13.4f}   {cross_entropies[-1]:13.4f}")
conditional_variance = density @ variance
conditional_entropy = -(density @ xlogy(distribution, distribution).sum(axis=1))
print(f"{'the truth':38} E[Var(y|x)] {conditional_variance:8.4f}   H(y|x) {conditional_entropy:10.4f}")

# %% [markdown]
# The noise is not the same everywhere. In each cell of $x$ the squared error of the last network is the variance
# there.

# %%
errors_in_cells = by_cell(fresh_x, (fresh_y - regression(fresh_x[:, None]).data[:, 0]) ** 2)
variances = variance.reshape(24, 20).mean(axis=1)
print("x            Var(y|x)  squared error")
for k in range(0, 24, 4):
    print(f"around {X_EDGES[k] + 1 / 12:5.2f} {variances[k]:8.4f} {errors_in_cells[k]:14.4f}")

# %% [markdown]
# The picture shows the pairs with the mean between the branches, the distribution of $y$ at two $x$, the error that
# remains, and what more pairs do.

# %%
figure = Figure(figsize=(8, 6.4), layout="constrained")
(pairs_panel, conditional_panel), (variance_panel, rates) = figure.subplots(2, 2)

pairs_panel.pcolormesh(X_EDGES, Y_EDGES, joint.T, cmap="Blues")
pairs_panel.plot(points, mean, color="black", lw=3, label="E[y|x], true")
pairs_panel.plot(points, expected, "--", color="#F0E442", lw=2, label="network")
pairs_panel.legend(loc="upper left", fontsize=8)
pairs_panel.set(xlabel="x", ylabel="y", xlim=(-2, 2), ylim=(-3, 3))
pairs_panel.set_title("P(x, y) by counting, and the mean of y", fontsize=11)

for k, color in ((4, chapter.ORANGE), (12, chapter.BLUE)):
    point = 20 * k + 10
    conditional_panel.stairs(conditional[k], Y_EDGES, fill=True, color=color, alpha=0.3)
    conditional_panel.plot(Y_EDGES[:-1] + 1 / 8, distribution[point], color=color, lw=1.5)
    conditional_panel.plot(Y_EDGES[:-1] + 1 / 8, learnt[point], "o", color=color, markersize=4)
    conditional_panel.plot([], [], color=color, lw=5, label=f"x = {points[point]:.2f}")
conditional_panel.stairs([0], [0, 0], fill=True, color=chapter.GREY, alpha=0.3, label="counting")
conditional_panel.plot([], color="black", lw=1.5, label="true")
conditional_panel.plot([], "o", color="black", markersize=4, label="network")
conditional_panel.set(xlabel="y", ylabel="probability of the cell", ylim=(0, 0.26))
conditional_panel.set_title("P(y|x), by cross-entropy", fontsize=11)
conditional_panel.legend(loc="upper left", ncols=2, fontsize=8)

variance_panel.plot(points, variance, color="black", lw=1.5, label="Var(y|x), true")
variance_panel.plot(
    X_EDGES[:-1] + 1 / 12, errors_in_cells, "o", color=chapter.ORANGE, markersize=4, label="of the network"
)
variance_panel.set(xlabel="x", ylabel="mean squared error", ylim=(0, None))
variance_panel.set_title("The error that remains is the variance", fontsize=11)
variance_panel.legend(loc="lower left", fontsize=8)

for name, color, values in (
    ("E[y|x]", chapter.ORANGE, mean_differences),
    ("P(y|x)", chapter.BLUE, distribution_differences),
):
    counting, network = zip(*values)
    rates.loglog(list(samples), counting, "s--", color=color, label=f"{name}, counting")
    rates.loglog(list(samples), network, "o-", color=color, label=f"{name}, network")
rates.set(xlabel="pairs", ylabel="root mean square difference", ylim=(None, 0.7))
rates.set_title("More pairs, closer to the truth", fontsize=11)
rates.legend(loc="upper center", ncols=2, fontsize=8)
chapter.show(figure, "conditional_expectation.png")
