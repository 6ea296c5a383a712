# %% [markdown]
# # Backpropagation: each derivative of a small network by hand, and what the engine makes of it
#
# The network has one hidden layer, and its loss is half the squared distance to what it should say:
#
# $$z = X W_1 + b_1, \quad h = \sigma(z), \quad O = h W_2 + b_2, \quad L = \frac{1}{2} \sum (O - Y)^2,$$
#
# where $X$ has an observation in each row.

# %%
import numpy as np

import autodiff as ad
import nn
from demos import chapter
from nn.functional import sigmoid

options = chapter.begin("backpropagation")

# %%
rng = np.random.default_rng(options.seed)
X, W1, b1, W2, b2, Y = (rng.normal(size=shape) for shape in ((3, 2), (2, 3), (3,), (3, 2), (2,), (3, 2)))

# %% [markdown]
# ## By hand
#
# The chain rule goes from $L$ backward. Each line needs only lines above it, and values that were computed on the way
# forward:
#
# $$\begin{aligned}
# \frac{\partial L}{\partial O} &= O - Y \\
# \frac{\partial L}{\partial W_2} &= h^\top \frac{\partial L}{\partial O}
# && \text{each weight meets the input that it multiplied} \\
# \frac{\partial L}{\partial b_2} &= \sum_{\text{rows}} \frac{\partial L}{\partial O}
# && \text{the bias is added to each row, so it collects from each} \\
# \frac{\partial L}{\partial h} &= \frac{\partial L}{\partial O} W_2^\top
# && \text{backward through the layer: the same weights, transposed} \\
# \frac{\partial L}{\partial z} &= \frac{\partial L}{\partial h} \odot h \odot (1 - h)
# && \odot \text{ multiplies element by element} \\
# \frac{\partial L}{\partial W_1} &= X^\top \frac{\partial L}{\partial z} \\
# \frac{\partial L}{\partial b_1} &= \sum_{\text{rows}} \frac{\partial L}{\partial z} \\
# \frac{\partial L}{\partial X} &= \frac{\partial L}{\partial z} W_1^\top
# \end{aligned}$$

# %%
h = 1 / (1 + np.exp(-(X @ W1 + b1)))

by_hand = {}
by_hand["O"] = h @ W2 + b2 - Y
by_hand["W₂"] = h.T @ by_hand["O"]
by_hand["b₂"] = by_hand["O"].sum(axis=0)
by_hand["h"] = by_hand["O"] @ W2.T
by_hand["z"] = by_hand["h"] * h * (1 - h)
by_hand["W₁"] = X.T @ by_hand["z"]
by_hand["b₁"] = by_hand["z"].sum(axis=0)
by_hand["X"] = by_hand["z"] @ W1.T

# %% [markdown]
# ## By the engine
#
# The engine follows the same lines. On the way forward it writes down each call; `L.backward()` walks the list backward
# and applies to each call its derivative. It leaves the gradients of what was made by hand ($X$, $W_1$, $b_1$, $W_2$,
# $b_2$).

# %%
inputs = ad.Tensor(X, name="X")
weights1, bias1 = nn.Parameter(W1, name="W₁"), nn.Parameter(b1, name="b₁")
weights2, bias2 = nn.Parameter(W2, name="W₂"), nn.Parameter(b2, name="b₂")
targets = ad.Tensor(Y, requires_grad=False, name="Y")

z = inputs @ weights1 + bias1
hidden = sigmoid(z)
output = hidden @ weights2 + bias2
L = ((output - targets) ** 2).sum() / 2
L.backward()

# %% [markdown]
# The gradient by a value in between is the gradient of all that comes after it, as a function of it.


# %%
def after_output(output):
    """Give the loss from the output on."""
    return ((output - targets) ** 2).sum() / 2


def after_hidden(hidden):
    """Give the loss from the hidden layer on."""
    return after_output(hidden @ weights2 + bias2)


def after_z(z):
    """Give the loss from the first layer's sums on."""
    return after_hidden(sigmoid(z))


by_engine = {
    "O": ad.grad(after_output)(output).data, "W₂": weights2.grad, "b₂": bias2.grad,
    "h": ad.grad(after_hidden)(hidden).data, "z": ad.grad(after_z)(z).data, "W₁": weights1.grad, "b₁": bias1.grad,
    "X": inputs.grad,
}  # fmt: skip

# %% [markdown]
# Here is each gradient by hand, and beside it the engine's.

# %%
FORMULAS = {
    "O": "O - Y",
    "W₂": "hᵀ ∂L/∂O",
    "b₂": "Σ over rows of ∂L/∂O",
    "h": "∂L/∂O W₂ᵀ",
    "z": "∂L/∂h ⊙ h ⊙ (1 - h)",
    "W₁": "Xᵀ ∂L/∂z",
    "b₁": "Σ over rows of ∂L/∂z",
    "X": "∂L/∂z W₁ᵀ",
}


def show(what, left, right):
    """Print a line of two columns."""
    print(f"{what:31}{left:26}{right}")


def row(numbers):
    """Put numbers into columns."""
    return " ".join(f"{number:7.4f}" for number in numbers)


for name, formula in FORMULAS.items():
    show(f"∂L/∂{name} = {formula}", "by hand", "by engine")
    for ours, its in zip(np.atleast_2d(by_hand[name]), np.atleast_2d(by_engine[name])):
        show("", row(ours), row(its))
difference = max(np.abs(by_hand[name] - by_engine[name]).max() for name in FORMULAS)
print(f"largest difference {difference:.1e}")

# %% [markdown]
# ## The matrix that is never formed
#
# In the line of $\partial L/\partial z$ the chain rule really has a matrix: all derivatives of a row of $h$ by the
# same row of $z$,
#
# $$\frac{\partial h_i}{\partial z_j} = \delta_{ij}\, \sigma'(z_i), \quad \sigma'(z) = \sigma(z) (1 - \sigma(z)),$$
#
# with the Kronecker delta $\delta_{ij}$, which is 1 for $i = j$ and else 0: each unit depends on its own $z$ alone. The
# matrix is diagonal, and the product of a row with a diagonal matrix is a product element by element. So the engine
# never forms it; asked for it with `ad.jacobian`, it gives it.

# %%
first = X[0] @ W1 + b1
slope = np.exp(-first) / (1 + np.exp(-first)) ** 2
matrix = ad.jacobian(sigmoid)(first)
show("∂h/∂z, for the first row", "δᵢⱼ σ'(zᵢ)", "by engine")
for ours, its in zip(np.eye(3) * slope, matrix):
    show("", row(ours), row(its))
show("∂L/∂z, for the first row", "∂L/∂h ⊙ σ'(z)", "∂L/∂h ∂h/∂z")
show("", row(by_hand["h"][0] * slope), row(by_hand["h"][0] @ matrix))

# %% [markdown]
# ## The graph
#
# All gradients stand in the graph of the calls.

# %%
hidden.name, output.name = "h", "O"
graph = ad.draw(L)
chapter.show(graph, "backpropagation.svg", "backpropagation.png")

# %% [markdown]
# As a page it can be stepped through in a browser: forward, and then backward from one derivative to the next.

# %%
chapter.show(graph, "backpropagation.html")
