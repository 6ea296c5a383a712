# %% [markdown]
# # A neural differential equation: a network learns the law of a spiral, through the solver that draws it
#
# A point moves on a spiral. Seen are its places $y_i$ at times $t_i$, with noise; what moves it is a differential
# equation, and a network $f$ with parameters $\theta$ is to learn its right side,
#
# $$\frac{dy}{dt} = f(y; \theta), \quad y(t_0) = y_0.$$

# %%
import time

import numpy as np
from matplotlib.figure import Figure
from threadpoolctl import threadpool_limits

import autodiff as ad
import nn
from autodiff.scipy.integrate import odeint
from demos import chapter

options = chapter.begin("neural_ode")
limits = chapter.enter(threadpool_limits(1))  # products of such small matrices are slower with several threads

# %%
MATRIX = np.array([[-0.1, 2.0], [-2.0, -0.1]])
START, TIMES, BEYOND = np.array([2.0, 0.0]), np.linspace(0, 10, 60), np.linspace(0, 15, 600)
NOISE, NEURONS = 0.05, 16


def law(y, t):
    """Give the velocity that the network is to learn."""
    return y**3 @ MATRIX


rng = np.random.default_rng(options.seed)
seen = odeint(law, START, TIMES) + NOISE * rng.normal(size=(len(TIMES), 2))


# %%
def field(network, y):
    """Give the velocities at places along the last axis. It is third powers that go in, which saves neurons."""
    W1, b1, W2, b2 = network
    return np.tanh(y**3 @ W1 + b1) @ W2 + b2


W1 = ad.Tensor(0.3 * rng.normal(size=(2, NEURONS)))
W2 = ad.Tensor(0.3 * rng.normal(size=(NEURONS, 2)))
network = [W1, ad.Tensor(np.zeros(NEURONS)), W2, ad.Tensor(np.zeros(2))]

# %% [markdown]
# ## Pieces
#
# A solver makes a curve of it, and a loss $L$ says how far the curve is from what was seen. To fit the whole curve at
# once is a bad beginning: an untrained network leads far away from all that was seen. So the curve is cut into pieces,
# one from each place that was seen, and all pieces are solved together, as one equation of many points.

# %%
TOLERANCE = 1e-4


def loss_of(network, places, tolerance=TOLERANCE):
    """Solve all pieces of a number of places at once: the mean square of their distances from what was seen.

    Beside it comes a list in which the calls of the network are counted.
    """
    count, calls = len(seen) - places + 1, [0]
    pieces = np.stack([seen[k : k + count] for k in range(places)])

    def right_side(y, t):
        calls[0] += 1
        return field(network, y.reshape(count, 2)).reshape(-1)

    ys = odeint(right_side, pieces[0].reshape(-1), TIMES[:places], rtol=tolerance, atol=tolerance)
    return np.square(ys.reshape(pieces.shape)[1:] - pieces[1:]).mean(), calls


# %% [markdown]
# ## The gradient through a solver
#
# The gradient by $\theta$ has to come back through the solver. That takes small steps, chooses their lengths as it
# goes, and keeps none of them, so that there is no chain of calls to walk back. But the gradient by the place at a
# time, the adjoint $a(t) = \partial L/\partial y(t)$, obeys a differential equation itself, and the gradient by
# $\theta$ is an integral along the curve,
#
# $$\frac{da}{dt} = -a^\top \frac{\partial f}{\partial y}, \quad
# \frac{\partial L}{\partial \theta} = \int a^\top \frac{\partial f}{\partial \theta}\, dt.$$
#
# So the solver is called once more, from the end to the start, for $y$, $a$ and the integral side by side. It needs
# products of $a$ with the derivatives of $f$ only, which backpropagation through the network gives, one call at a time.
# This is what `autodiff.scipy.integrate.odeint` does (Chen et al. 2018): in a program that calls SciPy's, the import
# changes.

# %%
loss, calls = loss_of(network, places=15)
forward = calls[0]
loss.backward()
back = calls[0] - forward
print(f"a gradient by {sum(p.size for p in network)} parameters calls the network {forward} times on the way")
print(f"forward, and {back} times back")

# %% [markdown]
# Along one direction the gradient is compared with central differences of a more exact solution.

# %%
direction = [np.cos(np.arange(1.0, p.size + 1)).reshape(p.shape) for p in network]
slope = sum(float(np.sum(p.grad * d)) for p, d in zip(network, direction))
for p in network:
    p.grad = None
low, high = (
    float(loss_of([p.data + step * d for p, d in zip(network, direction)], 15, tolerance=1e-10)[0])
    for step in (-1e-4, 1e-4)
)
difference = abs(slope / ((high - low) / 2e-4) - 1)
print(f"with tolerances of {TOLERANCE:g} it differs by {difference:.0e}, relatively")

# %% [markdown]
# ## Two stages
#
# First each piece reaches to the next place, then over a quarter of the time. Short pieces are learned at once, but
# what they teach is not quite the law. They take the place that was seen for where the point was, and where it moves by
# little more than the noise, they hardly see in which direction. Over a longer way the noise counts less.

# %%
STAGES = {"pieces of 1 interval": (2, 30), "pieces of 14": (15, 25)}  # places in a piece, and steps of the optimizer


def whole_curve():
    """Draw the whole curve that the network gives, from the true start."""
    weights = [p.data for p in network]
    return odeint(lambda y, t: field(weights, y), START, BEYOND)


curves, fits = {"untrained": whole_curve()}, {}
print("                       gradients  seconds   loss")
for name, (places, steps) in STAGES.items():
    start = time.perf_counter()
    fits[name] = nn.optim.minimize(lambda places=places: loss_of(network, places)[0], network, maxiter=steps)
    seconds = time.perf_counter() - start
    print(f"{name:22} {fits[name].nfev:9} {seconds:8.1f}   {fits[name].fun:.4f}")
    curves[name] = whole_curve()

# %% [markdown]
# What was learned is a law and no curve: it is followed beyond the last time at which something was seen.

# %%
exact = odeint(law, START, BEYOND)
is_seen = TIMES[-1] >= BEYOND
distances = {name: np.linalg.norm(ys - exact, axis=1) for name, ys in curves.items()}
print("mean distance from the true curve   while seen   beyond")
for name, distance in distances.items():
    print(f"{name:34} {distance[is_seen].mean():11.3f} {distance[~is_seen].mean():8.3f}")

# %% [markdown]
# The picture shows the curves in the plane and over time, and what the network takes for the law.

# %%
figure = Figure(figsize=(9, 6.4), layout="constrained")
above, below = figure.subfigures(2, 1, height_ratios=(1.5, 1))
left, right = above.subplots(1, 2)
colors = dict(zip(curves, (chapter.GREY, chapter.ORANGE, chapter.BLUE)))
left.plot(*exact[is_seen].T, color="black", lw=0.8, ls="--", label="true")
left.plot(*seen.T, ".", color="black", ms=5, label="seen")
for name, ys in curves.items():
    left.plot(*ys[is_seen].T, color=colors[name], lw=1.4, label=name)
left.set(title="Curves", xlim=(-2.3, 2.5), ylim=(-2.3, 2.3), aspect="equal")

grid = np.stack(np.meshgrid(*[np.linspace(-2.2, 2.2, 13)] * 2), axis=-1)
velocities = field([p.data for p in network], grid)
wrong = np.linalg.norm(velocities - law(grid, 0), axis=-1)
wrong = wrong / np.maximum(1, np.linalg.norm(law(grid, 0), axis=-1))
image = right.pcolormesh(grid[..., 0], grid[..., 1], wrong, cmap="Oranges", vmin=0, vmax=1)
velocities = velocities / np.maximum(1e-3, np.linalg.norm(velocities, axis=-1, keepdims=True))
arrows = grid[..., 0], grid[..., 1], velocities[..., 0], velocities[..., 1]
right.quiver(*arrows, color=chapter.BLUE, scale=20, width=0.005, pivot="mid")
right.plot(*exact[is_seen].T, color="black", lw=0.8, ls="--")
above.colorbar(image, ax=right, shrink=0.8, label="relative error of the velocity")
right.set(title="Directions that were learned", aspect="equal")

over_time = below.subplots()
over_time.axvspan(TIMES[-1], BEYOND[-1], color="0.93")
over_time.plot(BEYOND, exact[:, 0], color="black", lw=0.8, ls="--")
over_time.plot(TIMES, seen[:, 0], ".", color="black", ms=5)
for name, ys in curves.items():
    over_time.plot(BEYOND, ys[:, 0], color=colors[name], lw=1.4)
over_time.set(xlabel="time; nothing was seen where it is grey", ylabel="first coordinate", xlim=(0, BEYOND[-1]))
over_time.set_ylim(-2.3, 3.2)
legend = left.get_legend_handles_labels()
figure.legend(*legend, loc="lower right", bbox_to_anchor=(0.98, 0.33), ncols=5, frameon=False)
for ax in (left, over_time):
    ax.spines[["top", "right"]].set_visible(False)
chapter.show(figure, "neural_ode.png")
