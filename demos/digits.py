"""Handwritten digits: train a multi-layer perceptron on real images, and look at what it learned.

1,797 images of 8x8 pixels, of the digits 0 to 9, come with scikit-learn. Three quarters train a network

    O = relu(X W₁ + b₁) W₂ + b₂

whose ten outputs are logits: the softmax turns them into probabilities p of the ten digits, and training makes the
negative log-likelihood of the right ones small,

    loss = -1/N Σᵢ log p(yᵢ | xᵢ).

The last quarter is never trained on. Its accuracy is shown while training, but nothing is chosen by it.

With ``--distributed``, each of the processes that ``mpiexec`` starts computes the gradients of its part of every batch,
and the weights come out as those of a single process, but for rounding.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

import autodiff as ad
import nn
from demos import chapter
from nn.activations import ACTIVATIONS

BATCH_SIZE = 32
MOST_SHOWN = 48  # misclassified images in the picture; a network that learned nothing has hundreds


def main(arguments: Sequence[str] | None = None) -> float | None:
    """Run the chapter, and give the accuracy on the test images."""
    parser = argument_parser()
    options = parser.parse(arguments)

    comm = everybody(parser) if options.distributed else None
    is_first = comm is None or comm.rank == 0  # who prints and draws

    X_train, X_test, y_train, y_test = digits(options.seed)
    rng = np.random.default_rng(options.seed)
    model = nn.MLP([64, *options.hidden, 10], activation=options.activation, rng=rng)
    optimizer = nn.optim.Adam(model.parameters(), lr=3e-3)
    if is_first:
        print(model, end="\n\n")

    start = time.perf_counter()
    history = nn.fit(
        model, X_train, y_train, loss="cross_entropy", optimizer=optimizer, epochs=options.epochs,
        batch_size=BATCH_SIZE, validation_data=(X_test, y_test), rng=rng, comm=comm,
    )  # fmt: skip
    seconds = time.perf_counter() - start
    _, accuracy = nn.evaluate(model, X_test, y_test)
    if not is_first:
        return accuracy

    if comm is not None:
        print(f"processes      {comm.size}")
    print(f"parameters     {model.num_parameters():,}")
    print(f"time           {seconds:.2f} s for {options.epochs} epochs")
    print(f"images/second  {history.samples_per_second:,.0f}")
    print(f"test accuracy  {accuracy:.4f}")
    try:
        for path in write_results(options.output, model, history, (X_train, y_train), (X_test, y_test)):
            print(f"wrote          {path}")
    except OSError as error:
        parser.error(f"argument --output: {error}")
    return accuracy


def everybody(parser: chapter.Parser) -> Any:
    """Give the communicator of all processes that were started together."""
    try:
        from mpi4py import MPI
    except (ImportError, RuntimeError) as error:  # it is not there, or MPI is not
        parser.error(f'argument --distributed: needs mpi4py and MPI: pip install -e ".[distributed]" ({error})')
    return MPI.COMM_WORLD


def digits(seed: int) -> tuple[Any, Any, Any, Any]:
    """Load the images, with pixels from 0 to 1, and split them: the same share of each digit in both parts."""
    X, y = load_digits(return_X_y=True)
    X = (X / 16).astype(np.float32)
    X_train, X_test, y_train, y_test = train_test_split(X, y, train_size=0.75, stratify=y, random_state=seed)
    return X_train, X_test, y_train, y_test


def write_results(output: Path, model: nn.Module, history: nn.History, train: Any, test: Any) -> list[Path]:
    """Write the pictures of the training and of what it led to, the graph of one training loss, and the model."""
    X_test, y_test = test
    pictures = {
        output / "digits_learning_curves.png": history.plot().figure,
        output / "digits_confusion_matrix.png": nn.plots.confusion_matrix(y_test, model(X_test)).figure,
        output / "digits_misclassified.png": draw_mistakes(model, X_test, y_test),
        output / "digits_weights.png": nn.plots.weights(model).figure,
    }
    for path, figure in pictures.items():
        figure.savefig(path, dpi=150)
    X, y = (part[:BATCH_SIZE] for part in train)
    images = ad.Tensor(X, requires_grad=False, name="images")
    labels = ad.Tensor(y, requires_grad=False, name="labels")
    loss = nn.functional.cross_entropy(model(images), labels)
    loss.backward()
    graph, weights = output / "digits_graph.svg", output / "digits.safetensors"
    ad.draw(loss).save(graph)
    nn.save(model, weights)
    return [*pictures, graph, weights]


def draw_mistakes(model: nn.Module, X: Any, y: Any) -> Figure:
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


def argument_parser() -> chapter.Parser:
    """Describe the flags."""
    parser = chapter.Parser("digits", __doc__)
    add = parser.add_argument
    add("--epochs", type=chapter.positive, default=40, metavar="N", help="how often each image is seen (default: 40)")
    add(
        "--hidden",
        type=chapter.positive,
        default=[128],
        metavar="N",
        nargs="+",
        help="hidden layers' sizes (default: 128)",
    )
    add("--activation", choices=sorted(ACTIVATIONS), default="relu", help="between the layers (default: relu)")
    add("--distributed", action="store_true", help="train by all processes that mpiexec started")
    return parser


if __name__ == "__main__":
    main()
