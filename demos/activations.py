# %% [markdown]
# # Activations: without them a stack of layers is one matrix; with them it bends the border between two classes
#
# A linear layer maps $x$ to $x W + b$. Two of them, one after the other, are again a linear layer, and so are any
# number:
#
# $$(x W_1 + b_1) W_2 + b_2 = x (W_1 W_2) + (b_1 W_2 + b_2).$$
#
# Depth adds nothing, and where two such outputs are equal, the border between two classes, is a straight line. So a
# function that is not linear goes between the layers, to each number by itself.

# %%
import itertools

import numpy as np
from matplotlib.figure import Figure
from sklearn.datasets import make_moons

import autodiff as ad
import nn
from demos import chapter
from nn.functional import relu, sigmoid, tanh

options = chapter.begin("activations")

# %% [markdown]
# ## Three functions and their derivatives
#
# The common ones, and their derivatives, are
#
# $$\begin{aligned}
# \sigma(z) &= \frac{1}{1 + e^{-z}} && \sigma'(z) = \sigma(z) (1 - \sigma(z)) \\
# \tanh(z) &= \frac{e^z - e^{-z}}{e^z + e^{-z}} && \tanh'(z) = 1 - \tanh^2(z) \\
# \mathrm{relu}(z) &= \max(0, z) && \mathrm{relu}'(z) = 1 \text{ for } z > 0, 0 \text{ for } z < 0
# \end{aligned}$$
#
# where $\sigma$ is the sigmoid, whose derivative is at most 1/4; that of tanh is at most 1. All three derivatives
# follow from the value of the function alone, so a backward pass need not compute it again. The first two are flat on
# both sides: a unit that says "certainly" passes back no gradient, and hardly learns. ReLU passes the whole of it
# wherever it is not zero. At its kink, $z = 0$, there is no derivative, and 0 is taken. Here are the derivatives by
# these formulas, and below them the engine's.

# %%
DERIVATIVES = {
    "sigmoid": (sigmoid, lambda z: sigmoid(z) * (1 - sigmoid(z))),
    "tanh": (tanh, lambda z: 1 - tanh(z) ** 2),
    "relu": (relu, lambda z: np.where(z > 0, 1.0, 0.0)),
}
TITLES = {"none": "no activation", "sigmoid": "sigmoid", "tanh": "tanh", "relu": "ReLU"}


def row(numbers):
    """Put numbers into columns."""
    return " ".join(f"{number:9.5f}" for number in numbers)


z = np.array([-4.0, -1.0, 0.0, 1.0, 4.0])
print(f"at z =                  {row(z)}")
difference = 0.0
for name, (function, derivative) in DERIVATIVES.items():
    by_hand, by_engine = derivative(z), ad.elementwise_grad(function)(z)
    difference = max(difference, np.abs(by_hand - by_engine).max())
    print(f"{TITLES[name]:10} value        {row(function(z))}")
    print(f"derivative by hand      {row(by_hand)}")
    print(f"           by engine    {row(by_engine)}")
print(f"largest difference of the derivatives {difference:.1e}")

# %% [markdown]
# ## Four networks
#
# Four networks of the same layers learn to tell two interleaved half-moons apart: one without an activation, one with
# each of them.

# %%
SIZES = [2, 16, 16, 2]


def learn(activation, X, y, rng):
    """Train a network with this activation between its layers, or without one."""
    if activation == "none":
        model = nn.Sequential(*(nn.Linear(*pair, rng=rng, dtype=np.float64) for pair in itertools.pairwise(SIZES)))
    else:
        model = nn.MLP(SIZES, activation=activation, rng=rng, dtype=np.float64)
    optimizer = nn.optim.Adam(model.parameters(), lr=0.05)
    nn.fit(model, X, y, optimizer=optimizer, epochs=200, batch_size=50, rng=rng, progress=False)
    return model


rng = np.random.default_rng(options.seed)
X, y = make_moons(1000, noise=0.15, random_state=options.seed)
train, test = (X[:500], y[:500]), (X[500:], y[500:])
models = {name: learn(name, *train, rng) for name in TITLES}

# %% [markdown]
# The first is multiplied out into its one matrix, which gives the same outputs up to rounding.

# %%
W, b = np.eye(2), np.zeros(2)
for layer in models["none"].layers:
    W, b = W @ layer.weight.data, b @ layer.weight.data + layer.bias.data
gap = np.abs(models["none"](X).data - (X @ W + b)).max()

print(f"no activation: the stack {' → '.join(map(str, SIZES))} is the one matrix and bias")
print(f"W₁ W₂ W₃ =            {row(W[0])}\n                      {row(W[1])}")
print(f"b₁ W₂ W₃ + b₂ W₃ + b₃ {row(b)}")
print(f"largest difference of their outputs {gap:.1e}")

# %% [markdown]
# Its border is a straight line, and no line does well: of the lines in 360 directions, each moved to where it is right
# most often, the last accuracy below is that of the best.


# %%
def best_line(X, y):
    """Give the highest accuracy that a straight border between the classes has, in 360 directions."""
    angles = np.radians(np.arange(360))
    order = np.argsort(X @ np.stack([np.cos(angles), np.sin(angles)]), axis=0)
    # Right with the border after the k first points in this direction: their zeros, and the ones beyond
    zeros = np.cumsum(y[order] == 0, axis=0)
    ones = y.sum() - np.cumsum(y[order] == 1, axis=0)
    return float((zeros + ones).max() / len(y))


accuracies = {name: nn.evaluate(model, *test)[1] for name, model in models.items()}
print("accuracy on 500 points that were not trained on")
for name, accuracy in accuracies.items():
    print(f"{TITLES[name]:14} {accuracy:.3f}")
print(f"{'the best line':14} {best_line(*test):.3f}")

# %% [markdown]
# The others bend their border around the moons: sigmoid and tanh in smooth curves, ReLU in straight pieces, since it is
# linear on either side of its kink. The picture shows the three functions with their derivatives, and below them how
# each network divides the plane.

# %%
figure = Figure(figsize=(8, 5), layout="constrained")
top, bottom = figure.subfigures(2, 1, height_ratios=(1, 1.05))

z = np.linspace(-4, 4, 401)
for ax, (name, (function, derivative)) in zip(top.subplots(1, 3), DERIVATIVES.items()):
    ax.axhline(0, color=chapter.GREY, lw=0.5)
    ax.plot(z, function(z), color=chapter.BLUE, lw=2, label="value")
    ax.plot(z, np.where(z == 0, np.nan, derivative(z)), "--", color=chapter.ORANGE, lw=2, label="derivative")
    ax.set(title=TITLES[name], xlabel="z", ylim=(-1.15, 1.55))
    ax.legend(loc="lower right", fontsize=8)

for ax, (name, model) in zip(bottom.subplots(1, 4, sharex=True, sharey=True), models.items()):
    nn.plots.decision_boundary(model, *test, ax=ax).get_legend().remove()  # it would hide much of a small panel
    ax.set_title(f"{TITLES[name]}: {accuracies[name]:.1%}", fontsize=11)
    ax.label_outer()
chapter.show(figure, "activations.png")
