# %% [markdown]
# # Linear regression: gradient descent walks down the error to the least-squares solution
#
# A line, or in more dimensions a plane, predicts $y$ from $x$. Its error is the mean squared distance to the $n$
# observations:
#
# $$y \approx X w + b, \qquad E(w, b) = \frac{1}{n} |y - X w - b|^2$$

# %%
import numpy as np
from matplotlib.figure import Figure
from sklearn.datasets import load_diabetes

import autodiff as ad
from demos import chapter

options = chapter.begin("linear_regression")


# %%
def error(w, b, X, y):
    """Give the mean squared error of the plane."""
    return ((y - X @ w - b) ** 2).mean()


# %% [markdown]
# Let $r = y - X w - b$ be the residuals. Each $r_i$ falls by $x_{ij}$ when $w_j$ rises by one, and by 1 when $b$ does,
# so the chain rule gives
#
# $$\frac{\partial E}{\partial w} = -\frac{2}{n} X^\top r, \qquad
# \frac{\partial E}{\partial b} = -\frac{2}{n} \sum_i r_i.$$


# %%
def error_gradient(w, b, X, y):
    """Give its gradient as derived by hand."""
    residuals = y - X @ w - b
    return -2 / len(y) * X.T @ residuals, -2 / len(y) * residuals.sum()


# %% [markdown]
# The engine finds the same numbers without being told: it knows the derivatives of `@`, `-` and the square, and chains
# them. Gradient descent takes steps with the learning rate $\eta$,
#
# $$w \leftarrow w - \eta \frac{\partial E}{\partial w}, \qquad b \leftarrow b - \eta \frac{\partial E}{\partial b}.$$


# %%
def descend(X, y, steps, lr):
    """Go down the gradient that the engine finds; give w and b, the error and both gradients at each step."""
    value_and_gradient = ad.value_and_grad(error, argnums=(0, 1))
    w, b = np.zeros(X.shape[1]), np.float64(0)
    rows = []
    for _ in range(steps + 1):
        value, (dw, db) = value_and_gradient(w, b, X, y)
        rows.append((np.append(w, b), value, np.append(*error_gradient(w, b, X, y)), np.append(dw, db)))
        w, b = w - lr * dw, b - lr * db
    return map(np.array, zip(*rows))


# %% [markdown]
# $E$ is quadratic: a bowl, which curves alike everywhere. How steeply, say the eigenvalues $\lambda$ of
# $\frac{2}{n} A^\top A$, where $A$ is $X$ with a column of ones for $b$. Along an eigenvector, a step multiplies the
# distance to the bottom by $1 - \eta \lambda$. So the walk runs away if $\eta > 2 / \lambda_{\max}$; and
# $\eta = 2 / (\lambda_{\min} + \lambda_{\max})$ shrinks the flattest and the steepest direction alike, by
#
# $$\rho = \frac{\kappa - 1}{\kappa + 1} \quad \text{with the condition number} \quad
# \kappa = \frac{\lambda_{\max}}{\lambda_{\min}}.$$


# %%
def best_rate(X):
    """Give the learning rate of the fastest walk, and κ."""
    A = np.column_stack([X, np.ones(len(X))])
    curvatures = np.linalg.eigvalsh(2 / len(X) * A.T @ A)
    return 2 / (curvatures[0] + curvatures[-1]), curvatures[-1] / curvatures[0]


def least_squares(X, y):
    """Give w and b of the least error, by linear algebra."""
    return np.linalg.lstsq(np.column_stack([X, np.ones(len(X))]), y)[0]


# %% [markdown]
# ## Made-up data
#
# A hundred points lie around the plane $y = 2 x_1 - x_2 + 0.5$, with noise. The two features go together, so that the
# bowl is a valley and the walk, which steps across it more than along it, a zigzag. The gradient by hand is printed at
# each step, on its right the engine's, and how far they are apart.

# %%
rng = np.random.default_rng(options.seed)
X = rng.multivariate_normal([0, 0], [[1, 0.6], [0.6, 1]], size=100)
X -= X.mean(axis=0)
y = X @ [2, -1] + 0.5 + rng.normal(scale=0.5, size=100)

STEPS = 20
lr, condition = best_rate(X)
path, errors, by_hand, by_engine = descend(X, y, STEPS, lr)
solution = least_squares(X, y)

print("step    error   ∂E/∂w₁   ∂E/∂w₂    ∂E/∂b     ∂E/∂w₁   ∂E/∂w₂    ∂E/∂b      apart")
for step, (value, hand, engine) in enumerate(zip(errors, by_hand, by_engine)):
    columns = "   ".join(" ".join(f"{number:8.4f}" for number in gradient) for gradient in (hand, engine))
    print(f"{step:4} {value:8.5f} {columns}   {np.abs(hand - engine).max():8.1e}")
print("reached   w₁ {:.5f}, w₂ {:.5f}, b {:.5f}".format(*path[-1]))
print("lstsq     w₁ {:.5f}, w₂ {:.5f}, b {:.5f}".format(*solution))

# %% [markdown]
# ## Ten measurements of 442 patients
#
# The second data are real: age, sex, body mass index, blood pressure and six measurements of the blood, and how far
# the diabetes of each patient went within a year. Total cholesterol nearly follows from its parts, which makes the
# valley so long that $\kappa$ is in the hundreds: gradient descent takes thousands of steps to where linear algebra
# (`numpy.linalg.lstsq`) goes in one, but gets there.

# %%
data = load_diabetes(scaled=False)
measured = (data.data - data.data.mean(axis=0)) / data.data.std(axis=0)  # mean 0 and standard deviation 1
lr, long_condition = best_rate(measured)
long_path, long_errors, long_by_hand, long_by_engine = descend(measured, data.target, 8000, lr)
coefficients = long_path[-1]
expected = least_squares(measured, data.target)
explained = 1 - long_errors[-1] / data.target.var()

print(f"κ = {long_condition:.0f}, after {len(long_path) - 1} steps")
print(f"the gradients by hand and by the engine differ by {np.abs(long_by_hand - long_by_engine).max():.1e} at most")
print("            descent      lstsq")
for name, reached, wanted in zip([*data.feature_names, "b"], coefficients, expected):
    print(f"{name:6} {reached:12.6f} {wanted:12.6f}")
print(f"largest difference of the coefficients {np.abs(coefficients - expected).max():.1e}")
print(f"the measurements explain {explained:.1%} of the variance")

# %% [markdown]
# On the left the walk is drawn on the map of the error, from zero across the valley and along it. On the right both
# walks come closer to their solutions: in the long run by the factor $\rho$ a step, as the dashed lines do.

# %%
figure = Figure(figsize=(8, 3.9), layout="constrained")
left, right = figure.subplots(1, 2, width_ratios=(1.15, 1))

w1, w2 = np.meshgrid(np.linspace(-0.4, 3.0, 120), np.linspace(-1.9, 0.9, 120))
surface = ((y - np.stack([w1, w2], axis=-1) @ X.T - solution[2]) ** 2).mean(axis=-1)
levels = np.geomspace(1.12 * surface.min(), surface.max(), 9)
left.contourf(w1, w2, surface, levels, cmap="Blues", norm="log", vmax=50, extend="both")
lines = left.contour(w1, w2, surface, levels, colors=chapter.BLUE, linewidths=0.7)
left.clabel(lines, fontsize=8, fmt="%.2g", colors="black")
left.plot(*path[:, :2].T, "o-", color=chapter.ORANGE, markersize=4, lw=1.2, label="gradient descent")
left.plot(*solution[:2], "*", color="black", markersize=12, label="least squares")
left.set(xlabel="weight $w_1$", ylabel="weight $w_2$", title="The error E, and the way down")
left.legend(loc="upper right", fontsize=8, framealpha=1)

distances = np.linalg.norm(path - solution, axis=1)
long_distances = np.linalg.norm(long_path - expected, axis=1)
for far, name, kappa, color in (
    (distances, "made-up", condition, chapter.ORANGE),
    (long_distances, "diabetes", long_condition, chapter.BLUE),
):
    steps = np.arange(1, len(far))
    right.loglog(steps, far[1:] / far[0], color=color, label=f"{name}, κ = {kappa:.3g}")
    right.loglog(steps, ((kappa - 1) / (kappa + 1)) ** steps, "--", color=chapter.GREY, lw=1, zorder=0)
right.plot([], "--", color=chapter.GREY, lw=1, label=r"$\rho^{\mathrm{steps}}$")
right.set(xlabel="steps", ylabel="distance left (1 at the start)", title="A long valley takes many steps")
right.set_ylim(1e-13, 3)
right.legend(loc="lower left", fontsize=8)
chapter.show(figure, "linear_regression.png")
