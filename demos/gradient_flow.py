# %% [markdown]
# # Gradient flow: through ten layers of sigmoids the gradient vanishes; through ReLUs it arrives, or it explodes
#
# A network of ten layers computes $z_l = h_{l-1} W_l + b_l$ and $h_l = f(z_l)$, with $f$ between the layers only.

# %%
import numpy as np
from matplotlib.figure import Figure

import autodiff as ad
import nn
from demos import chapter

options = chapter.begin("gradient_flow")

# %%
LAYERS, WIDTH, ROWS, CLASSES = 10, 64, 256, 10

rng = np.random.default_rng(options.seed)
X = rng.normal(size=(ROWS, WIDTH))
labels = rng.integers(0, CLASSES, ROWS)


def linear_layers(model):
    """Give the layers that have weights."""
    return [layer for layer in model.layers if isinstance(layer, nn.Linear)]


# %% [markdown]
# Backward, the chain rule is a product with one factor a layer,
#
# $$\frac{\partial L}{\partial z_l} = \left(\frac{\partial L}{\partial z_{l+1}} W_{l+1}^\top\right) \odot f'(z_l),
# \quad \frac{\partial L}{\partial W_l} = h_{l-1}^\top \frac{\partial L}{\partial z_l},$$
#
# and a product of nine factors below one is small, of nine above one large.


# %%
def by_hand(W, activation):
    """Give ∂L/∂z and ∂L/∂W of every layer by the formulas, and f'."""
    inputs, slopes = [X], []
    for weights in W[:-1]:
        z = inputs[-1] @ weights
        h = 1 / (1 + np.exp(-z)) if activation == "sigmoid" else np.maximum(z, 0)
        inputs.append(h)
        slopes.append(h * (1 - h) if activation == "sigmoid" else (z > 0).astype(float))
    z = inputs[-1] @ W[-1]
    p = np.exp(z - z.max(axis=1, keepdims=True))
    p /= p.sum(axis=1, keepdims=True)
    deltas = [(p - np.eye(CLASSES)[labels]) / len(X)]
    for weights, slope in zip(reversed(W[1:]), reversed(slopes)):
        deltas.insert(0, (deltas[0] @ weights.T) * slope)
    return deltas, [h.T @ delta for h, delta in zip(inputs, deltas)], slopes


# %% [markdown]
# How much one factor is can be told in advance. Let the $n$ weights into a unit be drawn independently, with mean
# zero and variance $v$. Then $\partial L/\partial z_{l+1}\, W_{l+1}^\top$ has in the mean $n v$ times the squared
# length of $\partial L/\partial z_{l+1}$, and $f'$ multiplies it by its own mean square. So the gradient's norm
# changes by about
#
# $$\sqrt{n v \cdot \text{mean of } f'(z)^2}$$
#
# a layer, here called the rate.


# %%
def expected_rate(W, slopes):
    """Give the factor by which a layer changes the gradient's norm, as weights and f' have it."""
    variance = np.mean([np.mean(weights**2) for weights in W[1:]])
    mean_square = np.mean([np.mean(slope**2) for slope in slopes])
    return float(np.sqrt(WIDTH * variance * mean_square))


# %% [markdown]
# The sigmoid's derivative, $h (1 - h)$, is at most $1/4$, so the rate is at most $\sqrt{n v} / 4$. With the usual
# $v = 1/n$, nine layers divide the gradient by about $4^9 = 262144$ or more, and the first layers learn nothing. The
# ReLU's derivative is 1 for one half of its inputs and 0 for the other, so that $n v / 2 = 1$ keeps the norm: this is
# $v = 2/n$, the initialization of He et al. (Delving deep into rectifiers, 2015, section 2.2). With weights twice as
# large the rate is two, and the gradient explodes: at the first layer it is about $2^9 = 512$ times what it is at the
# last.

# %%
# An activation, and the variance of the weights times their number
NETWORKS = {
    "sigmoid": ("sigmoid", 1.0),
    "ReLU": ("relu", 2.0),
    "ReLU, weights twice as large": ("relu", 8.0),
}


def network(activation, spread):
    """Make a network whose weights have the variance ``spread / WIDTH``."""
    model = nn.MLP([WIDTH] * LAYERS + [CLASSES], activation=activation, dtype=np.float64)
    for layer in linear_layers(model):
        layer.weight.data = rng.normal(scale=np.sqrt(spread / WIDTH), size=layer.weight.shape)
    return model


models = {name: network(*how) for name, how in NETWORKS.items()}
losses, norms, rates, predicted, difference = {}, {}, {}, {}, 0.0
for name, model in models.items():
    losses[name] = nn.functional.cross_entropy(model(X), labels)
    losses[name].backward()
    W = [layer.weight.data for layer in linear_layers(model)]
    deltas, weights, slopes = by_hand(W, NETWORKS[name][0])
    for layer, ours in zip(linear_layers(model), weights):
        difference = max(difference, np.abs(layer.weight.grad - ours).max() / np.abs(ours).max())
    norms[name] = np.array([np.linalg.norm(delta) for delta in deltas])
    rates[name] = (norms[name][0] / norms[name][-1]) ** (1 / (LAYERS - 1))
    predicted[name] = expected_rate(W, slopes)

print("norm of ∂L/∂zₗ")
print("layer            " + "".join(f"{name:>{len(name) + 7}}" for name in NETWORKS))
for layer in reversed(range(LAYERS)):
    print(f"{layer + 1:5}            " + "".join(f"{norms[name][layer]:{len(name) + 7}.3e}" for name in NETWORKS))
for title, values in (("rate", rates), ("√(n v · mean f'²)", predicted)):
    print(f"{title:17}" + "".join(f"{values[name]:{len(name) + 7}.3f}" for name in NETWORKS))
print(f"largest relative difference between ∂L/∂W by hand and by engine {difference:.1e}")

# %% [markdown]
# The picture of the graph has a colour for the gradient of every layer, on a logarithmic scale: on the left, with
# sigmoids, it goes dark from the loss at the bottom to the input at the top; on the right, with ReLUs, it does not.

# %%
pair = [losses["sigmoid"], losses["ReLU"]]
chapter.show(ad.draw(pair, depth=1, show="grad", color="grad"), "gradient_flow.svg")

# %% [markdown]
# Here are all three networks, with the lines that the predicted rates give.

# %%
figure = Figure(figsize=(7, 4), layout="constrained")
axes = figure.subplots()
layers = np.arange(1, LAYERS + 1)
for (name, values), color, marker in zip(norms.items(), (chapter.BLUE, chapter.GREEN, chapter.ORANGE), "os^"):
    axes.semilogy(layers, values, marker, color=color, label=name)
    axes.semilogy(layers, values[-1] * predicted[name] ** (LAYERS - layers), color=color, lw=1)
axes.plot([], [], color="black", lw=1, label="the predicted rate")
axes.set(xlabel="layer, from the input to the loss", ylabel="norm of ∂L/∂z", xticks=layers)
axes.set_title("How much of the gradient reaches a layer", fontsize=11)
axes.legend(fontsize=9)
chapter.show(figure, "gradient_flow.png")
