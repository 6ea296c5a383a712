# %% [markdown]
# # One gradient an example: the strangest digits have the largest ones, and twenty networks are trained at once
#
# Training follows the gradient of a mean loss, which is the mean of the gradients of single examples,
#
# $$g = \frac{1}{N} \sum_i g_i, \quad g_i = \nabla\, \mathrm{loss}(\theta; x_i, y_i).$$

# %%
import time

import numpy as np
from matplotlib.figure import Figure
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split
from threadpoolctl import threadpool_limits

import autodiff as ad
import nn
from demos import chapter

options = chapter.begin("per_example")
limits = chapter.enter(threadpool_limits(1))  # products of such small matrices are slower with several threads

# %%
images, digits = load_digits(return_X_y=True)
images = (images / 16).astype(np.float32)
X, X_test, y, y_test = train_test_split(images, digits, train_size=0.75, stratify=digits, random_state=options.seed)
rng = np.random.default_rng(options.seed)

# %% [markdown]
# How long $g_i$ is says how hard image $i$ pulls at the weights. An image that the network reads with certainty hardly
# does. One that looks like no other of its kind does, and one whose label is wrong most of all: here the labels of some
# images are changed before training.

# %%
CHANGED = 40

changed = rng.choice(len(y), CHANGED, replace=False)
labels = y.copy()
labels[changed] = (y[changed] + rng.integers(1, 10, CHANGED)) % 10

# %%
HIDDEN, EPOCHS = 32, 15

model = nn.MLP([64, HIDDEN, 10], activation="tanh", rng=rng)
optimizer = nn.optim.Adam(model.parameters(), lr=3e-3)
nn.fit(
    model, X, labels, loss="cross_entropy", optimizer=optimizer, epochs=EPOCHS, batch_size=32, rng=rng, progress=False
)
parameters = model.state_dict()

# %% [markdown]
# Backpropagation gives the mean, and never sees the $g_i$. They are gradients of a function of one example, which
# `ad.vmap` makes one of all examples: each of its calls, forward and back, is made once for all of them, with the same
# parameters, each image and each label.


# %%
def loss(parameters, x, y):
    """Give the loss of one example, or the mean of several."""
    return nn.functional.cross_entropy(nn.functional_call(model, parameters, x), y)


start = time.perf_counter()
one_by_one = [ad.grad(loss)(parameters, x, label) for x, label in zip(X, labels)]
seconds_one_by_one = time.perf_counter() - start

start = time.perf_counter()
gradients = ad.vmap(ad.grad(loss), in_axes=(None, 0, 0))(parameters, X, labels)
seconds_at_once = time.perf_counter() - start

of_mean = ad.grad(loss)(parameters, X, labels)
difference = max(float(np.abs(g.mean(axis=0) - of_mean[name]).max()) for name, g in gradients.items())
print(f"gradients of {len(X):,} images: one by one in {seconds_one_by_one:.2f} s, at once in {seconds_at_once:.3f} s")
print(f"their mean is the gradient of the mean loss, up to {difference:.0e}")

# %% [markdown]
# A network that trained on wrong labels a little puts most of them among the largest.

# %%
squares = [np.square(g).reshape(len(X), -1).sum(axis=1) for g in gradients.values()]
norms = np.sqrt(np.sum(squares, axis=0))
found = int(np.isin(np.argsort(-norms)[:CHANGED], changed).sum())
print(f"norms: smallest {norms.min():.4f}, median {np.median(norms):.2f}, largest {norms.max():.1f}")
print(f"of the {CHANGED} with the largest, {found} have one of the {CHANGED} labels that were changed")

# %% [markdown]
# ## Twenty networks at once
#
# What is mapped over need not be examples. With the parameters of twenty networks stacked along a first axis, the same
# function trains them at once, each from its own first weights and with its own order of images, as twenty trainings in
# turn would, up to rounding.

# %%
NETWORKS, NEURONS, IMAGES, BATCH, PASSES = 20, 16, 200, 20, 30

orders = np.array([[rng.permutation(IMAGES) for _ in range(PASSES)] for _ in range(NETWORKS)])
batches = orders.reshape(NETWORKS, -1, BATCH)
models = [nn.MLP([64, NEURONS, 10], activation="tanh", rng=rng) for _ in range(NETWORKS)]


def stacked():
    """Give the parameters of all networks, by name, along a first axis."""
    states = [model.state_dict() for model in models]
    return {name: np.stack([state[name] for state in states]) for name in states[0]}


first = stacked()


# %%
def in_turn():
    """Train one network after the other, and give what they learned."""
    for model, rows in zip(models, batches):
        optimizer = nn.optim.Adam(model.parameters(), lr=0.01)
        for k in rows:
            optimizer.zero_grad()
            nn.functional.cross_entropy(model(X[k]), y[k]).backward()
            optimizer.step()
    return stacked()


# %%
def at_once(compiled=False):
    """Train all networks at once, from parameters along a first axis, and give what they learned."""
    parameters = {name: nn.Parameter(array) for name, array in first.items()}
    optimizer = nn.optim.Adam(list(parameters.values()), lr=0.01)

    def loss(parameters, X, y):
        return nn.functional.cross_entropy(nn.functional_call(models[0], parameters, X), y)

    def step(X, y):
        optimizer.zero_grad()
        ad.vmap(loss)(parameters, X, y).sum().backward()
        optimizer.step()

    run = ad.compile(step, state=[*parameters.values(), optimizer]) if compiled else step
    for k in batches.swapaxes(0, 1):
        run(X[k], y[k])
    return {name: parameter.data for name, parameter in parameters.items()}


# %% [markdown]
# It is faster by what Python and NumPy spend on each call besides arithmetic, and can be compiled as any step can.

# %%
print(f"{NETWORKS} networks, trained on {IMAGES} images, {PASSES} passes each")
times, states = {}, {}
for way, train in (("in turn", in_turn), ("at once", at_once), ("at once, compiled", lambda: at_once(compiled=True))):
    start = time.perf_counter()
    states[way] = train()
    times[way] = time.perf_counter() - start
    print(f"  {way:18} {times[way]:.2f} s")
apart = {way: max(float(np.abs(s[k] - states["in turn"][k]).max()) for k in s) for way, s in states.items()}
print(f"largest difference of a weight {apart['at once']:.0e}, compiled {apart['at once, compiled']:.0e}")

# %% [markdown]
# Twenty networks know more than one: where they err, they err differently, and the mean of their probabilities is right
# more often than most of them are.

# %%
of_test = ad.vmap(lambda state: nn.functional.softmax(nn.functional_call(models[0], state, X_test)))
probabilities = of_test(states["at once"]).data
alone = (probabilities.argmax(axis=-1) == y_test).mean(axis=1)
together = float((probabilities.mean(axis=0).argmax(axis=-1) == y_test).mean())
print(f"accuracy of one network  {alone.mean():.4f} (from {alone.min():.4f} to {alone.max():.4f})")
print(f"accuracy of the ensemble {together:.4f}")

# %% [markdown]
# The picture shows images with small and large gradients, all norms, and what the twenty networks are good for.

# %%
SHOWN = 10

order, is_changed = np.argsort(norms), np.isin(np.arange(len(norms)), changed)
rows = {
    "smallest": order[:SHOWN],
    "largest": order[~is_changed[order]][::-1][:SHOWN],
    "label\nchanged": order[is_changed[order]][::-1][:SHOWN],
}
figure = Figure(figsize=(9, 6.6), layout="constrained")
above, below = figure.subfigures(2, 1, height_ratios=(1.15, 1))
above.suptitle("Images by the norm of their gradient, with label and norm")
for axes, (name, shown) in zip(above.subplots(len(rows), SHOWN), rows.items()):
    axes[0].text(-0.25, 0.5, name, transform=axes[0].transAxes, ha="right", va="center", fontsize=9)
    for ax, k in zip(axes, shown):
        ax.imshow(X[k].reshape(8, 8), cmap="gray_r", vmin=0, vmax=1)
        ax.set_title(f"{labels[k]} ({norms[k]:.2g})", fontsize=8)
        ax.axis("off")

left, middle, right = below.subplots(1, 3, width_ratios=(1.3, 1, 1.2))
bins = np.geomspace(norms.min(), norms.max(), 30)
left.hist([norms[~is_changed], norms[is_changed]], bins, stacked=True, color=[chapter.BLUE, chapter.ORANGE])
left.legend(["label as it was", "changed"], frameon=False, loc="upper left")
left.set(xscale="log", xlabel="norm of the gradient", ylabel="images", title="All norms")
left.margins(y=0.3)
middle.plot(np.linspace(-0.1, 0.1, len(alone)), alone, ".", color=chapter.BLUE)
middle.plot([-0.15, 0.15], [alone.mean()] * 2, color=chapter.BLUE)
middle.plot([0.85, 1.15], [together] * 2, color=chapter.ORANGE)
middle.set(xlim=(-0.5, 1.5), ylabel="accuracy", title=f"{NETWORKS} networks")
middle.set_xticks([0, 1], ["each,\nand mean", "together"])
bars = right.barh(list(times), list(times.values()), color=[chapter.GREY, chapter.ORANGE, chapter.ORANGE])
right.bar_label(bars, fmt="%.2f", padding=2)
right.invert_yaxis()
right.set(xlabel="seconds", title="Time of their training", xlim=(0, 1.2 * max(times.values())))
for ax in (left, middle, right):
    ax.spines[["top", "right"]].set_visible(False)
chapter.show(figure, "per_example.png")
