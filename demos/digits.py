# %% [markdown]
# # Handwritten digits: train a multi-layer perceptron on real images, and look at what it learned
#
# 1,797 images of 8x8 pixels, of the digits 0 to 9, come with scikit-learn. Three quarters train a network
#
# $$O = \mathrm{relu}(X W_1 + b_1) W_2 + b_2$$
#
# whose ten outputs are logits.

# %%
import time

import numpy as np
from matplotlib.figure import Figure
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

import autodiff as ad
import nn
from demos import chapter
from nn.activations import ACTIVATIONS

options = chapter.begin(
    "digits",
    chapter.flag("--epochs", chapter.positive, default=40, help="how often each image is seen (default: 40)"),
    chapter.flag("--hidden", chapter.positive, default=[128], nargs="+", help="hidden layers' sizes (default: 128)"),
    chapter.flag("--activation", choices=sorted(ACTIVATIONS), default="relu", help="between layers (default: relu)"),
    chapter.flag("--distributed", action="store_true", help="train by all processes that mpiexec started"),
)
comm = chapter.everybody() if options.distributed else None

# %% [markdown]
# The last quarter is never trained on. Its accuracy is shown while training, but nothing is chosen by it. Both parts
# have the same share of each digit.

# %%
images, digits = load_digits(return_X_y=True)
images = (images / 16).astype(np.float32)  # pixels from 0 to 1
X_train, X_test, y_train, y_test = train_test_split(
    images, digits, train_size=0.75, stratify=digits, random_state=options.seed
)

rng = np.random.default_rng(options.seed)
model = nn.MLP([64, *options.hidden, 10], activation=options.activation, rng=rng)
print(model)

# %% [markdown]
# The softmax turns the logits into probabilities $p$ of the ten digits, and training makes the negative log-likelihood
# of the right ones small,
#
# $$\mathrm{loss} = -\frac{1}{N} \sum_i \log p(y_i \mid x_i).$$
#
# With `--distributed`, each of the processes that `mpiexec` starts computes the gradients of its part of every batch,
# and the weights come out as those of a single process, but for rounding.

# %%
BATCH_SIZE = 32

optimizer = nn.optim.Adam(model.parameters(), lr=3e-3)
start = time.perf_counter()
history = nn.fit(
    model, X_train, y_train, loss="cross_entropy", optimizer=optimizer, epochs=options.epochs,
    batch_size=BATCH_SIZE, validation_data=(X_test, y_test), rng=rng, comm=comm,
)  # fmt: skip
seconds = time.perf_counter() - start
_, accuracy = nn.evaluate(model, X_test, y_test)

if comm is not None:
    print(f"processes      {comm.size}")
print(f"parameters     {model.num_parameters():,}")
print(f"time           {seconds:.2f} s for {options.epochs} epochs")
print(f"images/second  {history.samples_per_second:,.0f}")
print(f"test accuracy  {accuracy:.4f}")

# %% [markdown]
# How loss and accuracy went, epoch by epoch:

# %%
chapter.show(history.plot().figure, "digits_learning_curves.png")

# %% [markdown]
# Which digits are taken for which others:

# %%
chapter.show(nn.plots.confusion_matrix(y_test, model(X_test)).figure, "digits_confusion_matrix.png")

# %% [markdown]
# The images that the network takes for another digit, with its probability for what it says:

# %%
MOST_SHOWN = 48  # a network that learned nothing has hundreds


def draw_mistakes(model, X, y):
    """Show the images that the model takes for another digit, with its probability for what it says."""
    with ad.no_grad():
        probabilities = nn.functional.softmax(model(X)).data
    said = probabilities.argmax(axis=1)
    wrong = np.flatnonzero(said != y)
    shown = wrong[:MOST_SHOWN]
    columns = 8
    rows = max(1, -(-len(shown) // columns))
    figure = Figure(figsize=(1.1 * columns, 1.45 * rows + 0.5), layout="constrained")
    some = f"; the first {len(shown)}" if len(shown) < len(wrong) else ""
    figure.suptitle(f"{len(wrong)} of {len(y)} test images are misclassified{some}")
    axes = figure.subplots(rows, columns, squeeze=False).ravel()
    for ax in axes:
        ax.axis("off")
    for ax, k in zip(axes, shown):
        ax.imshow(X[k].reshape(8, 8), cmap="gray_r", vmin=0, vmax=1)
        ax.set_title(f"{y[k]}, read as {said[k]}\n({probabilities[k, said[k]]:.0%})", fontsize=8)
    return figure


chapter.show(draw_mistakes(model, X_test, y_test), "digits_misclassified.png")

# %% [markdown]
# The weights of the first layer, each unit's as an image:

# %%
chapter.show(nn.plots.weights(model).figure, "digits_weights.png")

# %% [markdown]
# And the graph of the loss of one batch, with its gradients. The trained model itself goes to a file too.

# %%
batch = ad.Tensor(X_train[:BATCH_SIZE], requires_grad=False, name="images")
labels = ad.Tensor(y_train[:BATCH_SIZE], requires_grad=False, name="labels")
loss = nn.functional.cross_entropy(model(batch), labels)
model.zero_grad()
loss.backward()
chapter.show(ad.draw(loss), "digits_graph.svg")
chapter.write("digits.safetensors", lambda path: nn.save(model, path))
