# %% [markdown]
# # Depth: for functions that are made in steps the neurons needed fall fast with the number of layers
#
# A layer bends its input, and the next one bends what is bent already. Take the tent map on $[0, 1]$, which goes up to
# 1 and down again, two rectifiers:
#
# $$T(u) = 1 - \lvert2 u - 1\rvert = r(2 u) - 2 r(2 u - 1), \quad r(z) = \max(0, z).$$
#
# Applied $k$ times, $T^k(u) = T(T(\dots T(u)))$, it is a sawtooth of $2^k$ straight pieces. It takes
#
# - in one hidden layer $2^k$ neurons, each of which adds one bend, but for one that sets the first slope;
# - in $k$ hidden layers of two neurons, each of which does one step, $2 k$ neurons;
# - in $L$ layers, each of which does $k / L$ steps, $L \cdot 2^{k / L}$ neurons.
#
# So what is cheap for many layers can be out of reach for one (Telgarsky, Benefits of depth in neural networks, 2016).
# Below, such networks are first *constructed*, with weights that are written down, and then *trained*; each table says
# which.

# %%
import numpy as np
from matplotlib.figure import Figure
from threadpoolctl import threadpool_limits

import nn
from demos import chapter

options = chapter.begin("depth")

# %%
DEEPEST, FOLDINGS = 8, 6  # steps of the function that gets finer with depth; of the one that each depth is to learn
WIDTHS = {1: (48, 64, 80), 2: (4, 6, 8, 10), 3: (2, 3, 4, 5), 6: (1, 2, 3)}  # of each layer, by the number of layers
SEEDS = [5 * options.seed + k for k in range(5)]
STEPS, ERROR = 300, 0.1  # ERROR is what all are to reach


def folded(u, times):
    """Apply the tent map several times."""
    for _ in range(times):
        u = 1 - np.abs(2 * u - 1)
    return u


# %% [markdown]
# ## Constructed
#
# A layer of $p = 2^s$ neurons does $s$ steps at once: it bends its input at $0, 1/p, 2/p, \dots$, by turns down and up,
#
# $$T^s(u) = r(p u) - 2 r(p u - 1) + 2 r(p u - 2) - \dots$$
#
# Another layer on top gets $T^s(u)$ as its input. Two linear layers without a bend between them are one, so the weights
# of the output are multiplied into those of the layer that comes on top of it.


# %%
def on_top(model, bends):
    """Append a layer that bends what the network puts out, at these places of a scale on which 1 is their number."""
    *hidden, out = model.layers
    width = len(bends)
    layer = nn.Linear(out.in_features, width, dtype=np.float64)
    layer.weight.data = out.weight.data @ np.full((1, width), float(width))
    layer.bias.data = out.bias.data * width - bends
    return nn.Sequential(*hidden, layer, nn.ReLU(), nn.Linear(width, 1, dtype=np.float64))


def put_out(model, weights, bias):
    """Set the weights of the output, and give the network."""
    model[-1].weight.data, model[-1].bias.data = np.reshape(weights, (-1, 1)), np.reshape(bias, 1)
    return model


bare = put_out(nn.Sequential(nn.Linear(1, 1, dtype=np.float64)), 1.0, 0.0)  # puts out its input


def constructed(depth, foldings):
    """Write down the network that is the sawtooth, each layer of which does an equal share of the steps."""
    model, pieces = bare, 2 ** (foldings // depth)
    for _ in range(depth):
        model = put_out(on_top(model, np.arange(pieces)), [1.0] + [2.0 * (-1) ** j for j in range(1, pieces)], 0.0)
    return model


def count(model):
    """Count the neurons of the hidden layers."""
    return sum(layer.out_features for layer in model[:-1] if isinstance(layer, nn.Linear))


# %% [markdown]
# The networks are compared with the function at 32 points or more of each piece: multiples of $2^{-13}$, with which
# float64 computes all of this without rounding. In the last table the function stays, and fewer or more layers share
# its eight steps.

# %%
u = np.arange(2**13 + 1)[:, None] / 2**13


def neurons_and_error(depth, foldings):
    """Count the neurons of a network that is written down, and give its largest error."""
    model = constructed(depth, foldings)
    return count(model), float(np.abs(model(u).data - folded(u, foldings)).max())


by_steps = {k: neurons_and_error(1, k) + neurons_and_error(k, k) for k in range(1, DEEPEST + 1)}
print("constructed         one layer         as many layers as steps")
print("steps   pieces      neurons   error   neurons   error")
for k, row in by_steps.items():
    print("{:5} {:8} {:12} {:7g} {:9} {:7g}".format(k, 2**k, *row))
by_depth = {depth: neurons_and_error(depth, DEEPEST) for depth in (1, 2, 4, 8)}
print(f"\nconstructed, {2**DEEPEST} pieces\nlayers   neurons   error")
for depth, row in by_depth.items():
    print("{:6} {:9} {:7g}".format(depth, *row))

# %% [markdown]
# ## Trained
#
# That such weights exist is one thing, that training finds them another. From weights drawn at random it does not. Here
# are six layers of eight neurons, four times as many as are constructed, for $2^6 = 64$ pieces. The error is the root
# mean square of the difference as a share of the function's standard deviation: 1 is that of the best constant.


# %%
def error_of(model, foldings):
    """Give the error of a network, also between the points that it was trained on."""
    y = folded(u, foldings)
    return float(np.sqrt(np.mean((model(u).data - y) ** 2)) / y.std())


def fit(part, model, foldings, method, x):
    """Train a part of a network on the mean squared error."""
    y = folded(x, foldings)
    with threadpool_limits(1):  # products of such small matrices are slower with several threads
        nn.optim.minimize(
            lambda: nn.functional.mse_loss(model(x), y), part.parameters(), method, maxiter=STEPS, tol=1e-12
        )


def points(foldings):
    """Give the points to train on: eight a piece."""
    return np.linspace(0, 1, 8 * 2**foldings + 1)[:, None]


by_chance = []
for seed in SEEDS:
    model = nn.MLP([1, *[8] * FOLDINGS, 1], activation="relu", rng=seed, dtype=np.float64)
    fit(model, model, FOLDINGS, "L-BFGS-B", points(FOLDINGS))
    by_chance.append(error_of(model, FOLDINGS))
print(f"trained, {FOLDINGS} layers of 8, weights drawn at random: errors", *(f"{error:.2f}" for error in by_chance))

# %% [markdown]
# A function of a few pieces has next to nothing in common with one of 64, so no small change is one for the better
# (Malach and Shalev-Shwartz, Is deeper better only when shallow is good?, 2019). Three things help:
#
# - *Lessons.* The first layer learns the first share of the steps, $T^{k / L}$. Then another one comes on top and
# learns $T^{2 k / L}$, first it and the output alone, and then with all those below; and so on.
# - *Bends where the inputs are.* A layer's bends start evenly spread over $[0, 1]$, but each is moved at random by up
# to half the distance to the next.
# - *Least squares.* In the output's weights the loss is quadratic, so they start where it is smallest.
#
# A network of one hidden layer has its one lesson in the same way.


# %%
def trained(depth, width, foldings, seed):
    """Train a network; give of each lesson the error at its start, that at its end, and what is put out then."""
    rng = np.random.default_rng(seed)
    x, model, lessons = points(foldings), bare, []
    for layer in range(1, depth + 1):
        learned = foldings * layer // depth
        model = on_top(model, np.arange(width) + rng.uniform(-0.5, 0.5, width))
        hidden = np.c_[model[:-1](x).data, np.ones(len(x))]
        *weights, bias = np.linalg.lstsq(hidden, folded(x, learned), rcond=None)[0]
        start = error_of(put_out(model, weights, bias), learned)
        for part in (model[-3:], model):
            fit(part, model, learned, "BFGS", x)
        lessons.append((start, error_of(model, learned), model(u).data))
    return lessons


# %% [markdown]
# ### As many pieces as the depth allows
#
# Eight lessons, a layer of two neurons each. After lesson $L$ this is a network of $L$ layers and $2 L$ neurons that
# was trained on $2^L$ pieces, for which one layer needs $2^L$. At the start of a lesson the error is large, and at its
# end it is that of the optimizer's last digits.

# %%
grown = [trained(DEEPEST, 2, DEEPEST, seed) for seed in SEEDS]
print(f"trained                        one layer,   {'errors at the start of':24}{'largest':>11}")
print(f"layers   pieces   neurons   (constructed)   {'the lesson, by seed':24}{'at its end':>11}")
for k, found in enumerate(zip(*grown), 1):
    starts, ends, _ = zip(*found)
    each = " ".join(f"{error:.2f}" for error in starts)
    print(f"{k:6} {2**k:8} {2 * k:9} {by_steps[k][0]:15}   {each:24}{max(ends):11.0e}")

# %% [markdown]
# ### One function, fewer or more layers
#
# For 64 pieces a network needs, by the construction, $L \cdot 2^{6 / L}$ neurons. Each depth is trained at several
# widths, each from five seeds, and needs what brings their median error to at most a tenth.

# %%
errors, needed = {}, {}
for depth, widths in WIDTHS.items():
    print(f"trained, {depth} hidden layer{'s' * (depth > 1)}: errors, and their median")
    for neurons in (depth * width for width in widths):
        found = [trained(depth, neurons // depth, FOLDINGS, seed)[-1][1] for seed in SEEDS]
        errors[depth, neurons] = found
        print(f"  {neurons:3} neurons:", *(f"{error:7.2g}" for error in found), f"  {np.median(found):7.2g}")
        if np.median(found) <= ERROR:
            needed.setdefault(depth, neurons)
least = {depth: count(constructed(depth, FOLDINGS)) for depth in WIDTHS}
print("\nneurons for 64 pieces\nlayers   constructed   trained")
for depth in WIDTHS:
    print(f"{depth:6} {least[depth]:13} {needed.get(depth, 'more'):>9}")

# %% [markdown]
# With fewer neurons than are constructed the error stays large. With as many, two and more layers find the function
# itself. One layer of 64 often leaves out one tooth of the 32, where two bends met, which is an error of 0.12; with
# neurons to spare fewer are missing. One layer of 128 or 256 is only constructed here. In deep networks spare neurons
# do harm: what one layer has left, each further layer doubles, and the seeds scatter.
#
# From three layers on nothing is gained here, for $L \cdot 2^{6 / L}$ is 64, 16, 12 and 12: the more pieces, the longer
# depth pays. And it pays for functions that are made in steps, of which the lessons have to know. Depth is no gain for
# its own sake.

# %%
COLOURS = dict(zip(WIDTHS, (chapter.ORANGE, chapter.BLUE, chapter.GREEN, chapter.PURPLE)))
figure = Figure(figsize=(9, 5.6), layout="constrained")
above, below = figure.subfigures(2, 1, height_ratios=(1, 2.4))
above.suptitle("Trained: what one network puts out after each of its first lessons")
for k, ax in enumerate(above.subplots(1, 5, sharey=True), 1):
    ax.plot(u, grown[0][k - 1][2], color="black", lw=1)
    ax.set_title(f"{k} layer{'s' * (k > 1)}, {2 * k} neurons", fontsize=9)
    ax.set(xticks=[0, 1], yticks=[0, 1])
left, middle, right = below.subplots(1, 3, width_ratios=(1.1, 1.3, 1))
ks = np.arange(1, DEEPEST + 1)
left.plot(2**ks, 2**ks, "s:", color=chapter.ORANGE, mfc="white", label="1 layer, constructed")
left.plot(2**ks, 2 * ks, "o-", color="black", label="$L$ layers, trained")
left.set(title="Neurons for $2^L$ pieces", xlabel="straight pieces", xscale="log", yscale="log")
for depth, colour in COLOURS.items():
    sizes, found = zip(*((size, errors[n, size]) for n, size in errors if n == depth))
    middle.plot(sizes, found, ".", color=colour, alpha=0.4)
    middle.plot(sizes, np.median(found, axis=1), color=colour, label=f"{depth} layer{'s' * (depth > 1)}")
middle.axhline(ERROR, color=chapter.GREY, ls=":", lw=1)
middle.set(title=f"Trained on {2**FOLDINGS} pieces: error", xlabel="neurons", xscale="log", yscale="log")
for axis, ticks in ((left.xaxis, 2**ks), (left.yaxis, 2**ks), (middle.xaxis, [6, 12, 24, 48, 80])):
    axis.set_ticks(ticks, map(str, ticks))
    axis.set_ticks([], minor=True)
places, look = np.arange(len(WIDTHS)), {"width": 0.38, "edgecolor": COLOURS.values()}
right.bar_label(right.bar(places - 0.2, least.values(), color="white", label="constructed", **look), fontsize=9)
heights = [needed.get(depth, 0) for depth in WIDTHS]
bars = right.bar(places + 0.2, heights, color=COLOURS.values(), label="trained", **look)
right.bar_label(bars, [needed.get(depth, "more") for depth in WIDTHS], fontsize=9)
right.set_xticks(places, map(str, WIDTHS))
right.set(title=f"Neurons for {2**FOLDINGS} pieces", xlabel="hidden layers")
for ax in (left, middle, right):
    ax.legend(frameon=False, fontsize=8)
    ax.spines[["top", "right"]].set_visible(False)
chapter.show(figure, "depth.png")
