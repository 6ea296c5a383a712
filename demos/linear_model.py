# %% [markdown]
# # The linear model: O = XW + b, and softmax makes probabilities of it
#
# Each row of $X$ is an observation $x$, each column of $W$ belongs to one class, and the *logit* of class $k$ is
#
# $$O = X W + b, \quad o_k = x^\top w_k + b_k.$$
#
# It is all that a network without hidden layers computes, and the last layer of every classifier. The data are 150
# irises of three kinds, of which two numbers are known: length and width of a petal, in centimetres.

# %%
import itertools

import numpy as np
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure
from sklearn.datasets import load_digits, load_iris
from sklearn.model_selection import train_test_split

import autodiff as ad
import nn
from demos import chapter
from nn.functional import softmax

options = chapter.begin("linear_model")
rng = np.random.default_rng(options.seed)

iris = load_iris()
X, y, kinds = iris.data[:, 2:], iris.target, iris.target_names
Y = np.eye(3)[y]  # row by row a 1 for the kind that it is, else 0

# %% [markdown]
# ## Softmax: logits become probabilities
#
# $$p_k = \frac{e^{o_k}}{\sum_j e^{o_j}}$$
#
# is positive and adds up to one, and the largest logit has the largest probability. A constant $c$ added to all logits
# changes nothing, as $e^{o_k + c} = e^{o_k} e^c$ has the factor $e^c$ above and below the line: only differences of
# logits count. The library uses that to subtract the largest one first. Without, a logit of 1000 is too much for
# $e^o$.

# %%
o = rng.normal(size=3)
moved = {c: softmax(o + c) for c in (0, 5, -5, 1000)}
with np.errstate(over="ignore", invalid="ignore"):
    naive = {c: np.exp(o + c) / np.exp(o + c).sum() for c in moved}

print("logits        softmax                      by the formula as it stands")
for c, p in moved.items():
    print(f"o + {c:5}    " + " ".join(f"{value:8.5f}" for value in p), *(f"{value:8.5f}" for value in naive[c]))

# %% [markdown]
# ## The gradient, by hand and by the engine
#
# The loss is the mean negative logarithm of the probability that the model gives to the right class $y_i$. Its
# derivative by the logits is remarkably plain:
#
# $$L = -\frac{1}{n} \sum_i \log p_{y_i}, \quad \log p_k = o_k - \log \sum_j e^{o_j}, \quad
#   \frac{\partial L}{\partial O} = \frac{P - Y}{n},$$
#
# what the model says minus what is so. The chain rule through $O = XW + b$ gives the rest,
#
# $$\frac{\partial L}{\partial W} = \frac{1}{n} X^\top (P - Y), \quad
#   \frac{\partial L}{\partial b} = \frac{1}{n} \sum_i (P - Y)_i.$$

# %%
W, b = rng.normal(size=(2, 3)), np.zeros(3)


def loss(W, b):
    """Give the mean negative log-probability of the right kinds."""
    return nn.functional.cross_entropy(X @ W + b, y)


def by_hand(W, b):
    """Give the gradient by both formulas."""
    error = (softmax(X @ W + b) - Y) / len(X)
    return X.T @ error, error.sum(axis=0)


by_engine = ad.grad(loss, argnums=(0, 1))
pairs = list(zip(np.vstack(by_hand(W, b)), np.vstack(by_engine(W, b))))
print("              by hand                         by engine")
for name, (hand, engine) in zip(("∂L/∂W, length", "∂L/∂W, width", "∂L/∂b"), pairs):
    print(f"{name:13}" + "".join(f"{v:10.5f}" for v in hand) + "  " + "".join(f"{v:10.5f}" for v in engine))

# %% [markdown]
# Each row adds up to zero: what one class gains in probability, the others lose. So the columns of $W$, which now
# begin at zero, add up to zero wherever descent leads.

# %%
W, b = np.zeros((2, 3)), np.zeros(3)
for _ in range(3000):
    W, b = (value - 0.2 * slope for value, slope in zip((W, b), by_engine(W, b)))

right = (X @ W + b).argmax(axis=1) == y
print(
    f"loss at zero {np.log(3):.4f}, after 3000 steps {loss(W, b):.4f}; {right.sum()} of {len(y)} irises are recognized"
)

# %% [markdown]
# ## What the columns of W say, and why the borders are straight
#
# The derivative of $o_k$ by $x$ is $w_k$, at every $x$ the same: the column points to where the logit of its class
# rises most. For two classes,
#
# $$\log\frac{p_j}{p_k} = o_j - o_k = x^\top (w_j - w_k) + b_j - b_k,$$
#
# so they are equally probable where this is zero, which is a **straight line**, at right angles to $w_j - w_k$. The
# engine agrees: the second derivatives of the left side by $x$ are zero, up to rounding.

# %%
here = X[100]
columns = ad.jacobian(lambda x: x @ W + b)(here).T
print("column           length     width")
for kind, column in zip(kinds, columns.T):
    print(f"{kind:12} {column[0]:10.4f} {column[1]:9.4f}")


def ratio(x, j, k):
    """Give the logarithm of the ratio of the probabilities of two kinds."""
    p = softmax(x @ W + b)
    return np.log(p[j] / p[k])


borders = {}
print("\nborder between        p on it, at three lengths   largest second derivative")
for j, k in itertools.combinations(range(3), 2):
    (length, width), shift = W[:, j] - W[:, k], b[j] - b[k]
    points = np.array([(t, -(shift + length * t) / width) for t in (1.0, 3.0, 5.0)])
    bend = np.abs(ad.hessian(lambda x: ratio(x, j, k))(here)).max()  # noqa: B023
    p = softmax(points @ W + b)[:, [j, k]]
    borders[j, k] = points, p, bend
    both = "  ".join(f"{one:.4f} {other:.4f}" for one, other in p)
    print(f"{kinds[j]:10} {kinds[k]:10} {both}   {bend:.1e}")

# %% [markdown]
# ## Columns as pictures
#
# For the digits of 8x8 pixels, a column has a number for each pixel and can be looked at. $x^\top w_k$ adds up the ink
# where the column is positive (blue), and takes off the ink where it is negative (orange): a stencil of the digit,
# against the others. `nn.Linear` is this model, `nn.fit` its descent.

# %%
images, labels = load_digits(return_X_y=True)
train, test, train_labels, test_labels = train_test_split(images / 16, labels, random_state=options.seed)
model = nn.Linear(64, 10, rng=rng)
optimizer = nn.optim.Adam(model.parameters(), lr=0.01, weight_decay=0.003)
nn.fit(model, train, train_labels, optimizer=optimizer, epochs=40, rng=rng)
_, accuracy = nn.evaluate(model, test, test_labels)

means = np.stack([train[train_labels == digit].mean(axis=0) for digit in range(10)])
found = model(means).data.argmax(axis=1)
print(f"{accuracy:.1%} of {len(test)} digits that were not trained on are recognized")
print(f"mean pictures of 0 to 9 have their largest logit in column {found}")

# %% [markdown]
# On the dotted lines two kinds are equally probable; where a third is more so, no border is seen.

# %%
figure = Figure(figsize=(8, 4), layout="constrained")
plane, pictures = figure.subfigures(1, 2, width_ratios=(1, 1))
ax = plane.subplots()
grid = np.stack(np.meshgrid(np.linspace(0.5, 7.5, 300), np.linspace(-0.4, 3, 300)), axis=-1)
colors = (chapter.BLUE, chapter.ORANGE, chapter.GREEN)
ax.contourf(*grid.transpose(2, 0, 1), (grid @ W + b).argmax(axis=-1), [-1, 0.5, 1.5, 2.5], colors=colors, alpha=0.2)
for points, _, _ in borders.values():
    ax.axline(points[0], points[2], color="black", lw=1, ls=":")
for kind, color, column in zip(range(3), colors, W.T):
    ax.plot(*X[y == kind].T, "o", color=color, markersize=3.5, label=kinds[kind])
    ax.annotate(
        "",
        (3 + 0.3 * column[0], 0.9 + 0.3 * column[1]),
        (3, 0.9),
        arrowprops={"color": color, "width": 1.5, "headwidth": 6, "headlength": 6},
    )
ax.set(xlabel="length of a petal in cm", ylabel="width in cm", xlim=(0.5, 7.5), ylim=(-0.4, 3))
ax.set_title("Straight borders; arrows: columns of W", fontsize=11)
ax.legend(loc="upper left", fontsize=8)
colormap = LinearSegmentedColormap.from_list("", [chapter.ORANGE, "white", chapter.BLUE])
largest = np.abs(model.weight.data).max()
for digit, panel in enumerate(pictures.subplots(3, 4).flat):
    panel.axis("off")
    if digit < 10:
        panel.imshow(model.weight.data[:, digit].reshape(8, 8), cmap=colormap, vmin=-largest, vmax=largest)
        panel.set_title(str(digit), fontsize=10)
pictures.suptitle("Columns of W for the ten digits", fontsize=11)
chapter.show(figure, "linear_model.png")
