# %% [markdown]
# # A Gaussian process: the curve between observations and how sure it is, by the gradient of one likelihood
#
# A Gaussian process says of unknown $f(x_1), \dots, f(x_n)$ that they are normal, with a covariance that falls with
# distance,
#
# $$k(x, x') = s^2 \exp\left(-\sum_i \frac{(x_i - x_i')^2}{2 \ell_i^2}\right),$$
#
# so that near points have like values. What is observed is $y = f(x) + \text{noise}$ of standard deviation $\sigma$,
# which is normal too, with the covariance $K = k(X, X) + \sigma^2 I$.

# %%
import numpy as np
from matplotlib.figure import Figure
from scipy.optimize import minimize
from threadpoolctl import threadpool_limits

import autodiff as ad
from autodiff.scipy import linalg, stats
from demos import chapter

options = chapter.begin("gaussian_process")
limits = chapter.enter(threadpool_limits(1))  # of matrices this small several threads make no shorter work


# %%
def kernel(parameters, A, B):
    """Give the covariance of f at rows of A with f at rows of B."""
    apart = (A[:, None] - B) / np.exp(parameters["lengths"])
    return np.exp(2 * parameters["height"] - np.sum(apart * apart, axis=-1) / 2)


def covariance(parameters, X):
    """Give the covariance of the observations."""
    return kernel(parameters, X, X) + np.exp(2 * parameters["noise"]) * np.eye(len(X))


# %% [markdown]
# The observations here are drawn from a process whose $\ell$, $s$ and $\sigma$ are known. Between two places nothing is
# observed.

# %%
TRUTH = {"lengths": np.log([1.0]), "height": np.log(1.5), "noise": np.log(0.2)}
OBSERVED, GRID = 35, np.linspace(0, 12, 121)[:, None]
GAP = 5.5, 8.0


def observations():
    """Draw a curve from the process, and observe it with noise, but not in the gap; give the whole curve too."""
    x = rng.uniform(0, 12, (4 * OBSERVED, 1))
    X = x[(x[:, 0] < GAP[0]) | (x[:, 0] > GAP[1])][:OBSERVED]
    places = np.concatenate([X, GRID])
    values = rng.multivariate_normal(np.zeros(len(places)), kernel(TRUTH, places, places), method="eigh")
    return X, values[:OBSERVED] + np.exp(TRUTH["noise"]) * rng.normal(size=OBSERVED), values[OBSERVED:]


rng = np.random.default_rng(options.seed)
X, y, curve = observations()

# %% [markdown]
# ## The marginal likelihood
#
# The density of $y$ is the marginal likelihood: no $f$ is chosen, all are counted.
#
# $$-\log p(y) = \frac{1}{2} y^\top K^{-1} y + \frac{1}{2} \log \det K + \frac{n}{2} \log 2 \pi$$
#
# The first part punishes curves that do not reach the observations, the second those that could reach anything. The sum
# has its least at a length scale $\ell$, a height $s$ and a noise $\sigma$ that suit the observations, with nothing
# held out.

# %%
START = {"lengths": np.log([0.2]), "height": np.log(1.0), "noise": np.log(1.0)}


def loss(parameters, X, y):
    """Give the negative logarithm of the marginal likelihood."""
    factor, lower = linalg.cho_factor(covariance(parameters, X), lower=True)
    alpha = linalg.cho_solve((factor, lower), y)
    return y @ alpha / 2 + np.sum(np.log(np.diagonal(factor))) + len(y) / 2 * np.log(2 * np.pi)


by_density = -stats.multivariate_normal.logpdf(y, None, covariance(START, X))
print(f"-log p(y) of {OBSERVED} observations {loss(START, X, y):.6f}, and by SciPy's density {by_density:.6f}")

# %% [markdown]
# The logarithms of $\ell$, $s$ and $\sigma$ are what is descended by; the gradient goes through the Cholesky factor of
# $K$, and equals the formula (Rasmussen and Williams 2006, equation 5.9)
#
# $$-\frac{\partial}{\partial \theta} \log p(y) = \frac{1}{2} \mathrm{tr}\left((K^{-1} - \alpha \alpha^\top)
# \frac{\partial K}{\partial \theta}\right), \quad \alpha = K^{-1} y.$$


# %%
def gradient_by_hand(parameters, X, y):
    """Give the gradient by the formula, for one length scale."""
    inverse, K = np.linalg.inv(covariance(parameters, X)), kernel(parameters, X, X)
    alpha = inverse @ y
    squares = np.sum((X[:, None] - X) ** 2, axis=-1) / np.exp(2 * parameters["lengths"])
    slopes = {"lengths": K * squares, "height": 2 * K, "noise": 2 * np.exp(2 * parameters["noise"]) * np.eye(len(X))}
    return {name: np.sum((inverse - np.outer(alpha, alpha)) * slope) / 2 for name, slope in slopes.items()}


by_engine, by_hand = ad.grad(loss)(START, X, y), gradient_by_hand(START, X, y)
difference = max(float(np.max(np.abs(by_engine[name] - by_hand[name]))) for name in START)
print(f"the gradient and the formula by hand differ by {difference:.0e}")

# %% [markdown]
# With it, SciPy's optimizer finds the largest likelihood.

# %%
BOUND = 5  # of logarithms


def fit(start, X, y, gradient=True):
    """Find the parameters of the largest likelihood; give them, the way there, and how many likelihoods it took."""
    vector, unravel = ad.ravel(start)
    path = [start]

    def of_vector(vector):
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


found, path, _ = fit(START, X, y)
print("                 ℓ       s       σ   -log p(y)")
for name, parameters in (("at first", START), ("found", found), ("drawn from", TRUTH)):
    length, height, noise = (float(np.exp(x).squeeze()) for x in parameters.values())
    print(f"{name:12} {length:6.3f}  {height:6.3f}  {noise:6.3f}  {loss(parameters, X, y):10.4f}")

# %% [markdown]
# ## The curve and its band
#
# Then $f$ at other points is normal too: its mean $k(x, X)\, \alpha$ is the curve, and its variance the band. Where
# observations are missing, the band is wide.


# %%
def predicted(parameters, X, y, points):
    """Give the mean and the standard deviation of f at points, given the observations."""
    factor = linalg.cho_factor(covariance(parameters, X))
    shared = kernel(parameters, points, X)
    explained = np.sum(shared * linalg.cho_solve(factor, shared.T).T, axis=-1)
    return shared @ linalg.cho_solve(factor, y), np.sqrt(np.exp(2 * parameters["height"]) - explained)


_, deviation = predicted(found, X, y, GRID)
in_gap = (GRID[:, 0] > GAP[0]) & (GRID[:, 0] < GAP[1])
widths = deviation[in_gap].max(), float(np.median(deviation[~in_gap]))
print(f"standard deviation: {widths[0]:.2f} where nothing was observed, {widths[1]:.2f} elsewhere")

# %% [markdown]
# If the band is to be believed, about 95 in 100 points of a curve are within two standard deviations; not of each
# curve, whose points are near each other, but of many. It is a little less, as $\ell$, $s$ and $\sigma$ are not known
# but found.

# %%
CURVES = 20


def share_inside(X, y, curve):
    """Give the share of a curve that is within two standard deviations of the mean, by the parameters found."""
    mean, deviation = predicted(fit(START, X, y)[0], X, y, GRID)
    return float(np.mean(np.abs(curve - mean) < 2 * deviation))


inside = np.mean([share_inside(*observations()) for _ in range(CURVES)])
print(f"of {CURVES} other curves, {inside:.1%} is within two standard deviations of the mean")

# %% [markdown]
# ## Which inputs matter
#
# With a length scale for each input, the likelihood says which inputs matter: of one that does not, the length scale
# grows until $f$ hardly changes with it. There are more numbers to find then, and SciPy's optimizer, which without a
# gradient has to try each one, needs many times as many likelihoods.

# %%
INPUTS, MATTER, ROWS = 8, 2, 60

rows = rng.uniform(-2, 2, (ROWS, INPUTS))
targets = np.sin(2 * rows[:, 0]) + rows[:, 1] ** 2 / 2 - 0.7 + 0.1 * rng.normal(size=ROWS)
start = {"lengths": np.zeros(INPUTS), "height": 0.0, "noise": np.log(0.5)}
relevant, _, with_gradient = fit(start, rows, targets)
_, _, without = fit(start, rows, targets, gradient=False)
lengths = np.exp(relevant["lengths"])
print(f"{INPUTS} inputs, of which the first {MATTER} matter: length scales")
print(*(f"{ell:.3g}" for ell in lengths))
print(f"(the largest that was allowed is {np.exp(BOUND):.0f})")
print(f"likelihoods that SciPy asked for: {with_gradient} with the gradient, {without} without")

# %% [markdown]
# The picture shows the curve before and after the fit, with its band, the way to the fit, and which inputs matter.

# %%
figure = Figure(figsize=(8, 5.6), layout="constrained")
((first, last), (way, relevance)) = figure.subplots(2, 2)
for panel, parameters, title in ((first, START, "At first"), (last, found, "Of the largest likelihood")):
    mean, deviation = predicted(parameters, X, y, GRID)
    low, high = mean - 2 * deviation, mean + 2 * deviation
    panel.fill_between(GRID[:, 0], low, high, color=chapter.BLUE, alpha=0.25, lw=0, label="± 2 deviations")
    panel.plot(GRID, mean, color=chapter.BLUE, label="mean")
    panel.plot(GRID, curve, "--", color=chapter.GREY, lw=1, label="the curve itself")
    panel.plot(X, y, "o", color=chapter.ORANGE, markersize=3)
    panel.set(title=f"{title}: −log p(y) = {loss(parameters, X, y):.1f}", xlabel="x", xlim=(0, 12), ylim=(-4.5, 5.5))
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
way.set(xscale="log", yscale="log", xlabel="length scale ℓ", ylabel="noise σ", title="−log p(y) at the fitted height")
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
chapter.show(figure, "gaussian_process.png")
