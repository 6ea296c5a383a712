"""Backpropagation: each derivative of a small network by hand, and what the engine makes of it.

The network has one hidden layer, and its loss is half the squared distance to what it should say:

    z = X W₁ + b₁,    h = σ(z),    O = h W₂ + b₂,    L = 1/2 Σ (O - Y)²,

where X has an observation in each row. The chain rule goes from L backward. Each line needs only the one above it, and
values that were computed on the way forward:

    ∂L/∂O  = O - Y
    ∂L/∂W₂ = hᵀ ∂L/∂O               each weight meets the input that it multiplied
    ∂L/∂b₂ = Σ over rows of ∂L/∂O   the bias is added to each row, so it collects from each
    ∂L/∂h  = ∂L/∂O W₂ᵀ              backward through the layer: the same weights, transposed
    ∂L/∂z  = ∂L/∂h ⊙ h ⊙ (1 - h)    ⊙ multiplies element by element
    ∂L/∂W₁ = Xᵀ ∂L/∂z
    ∂L/∂b₁ = Σ over rows of ∂L/∂z
    ∂L/∂X  = ∂L/∂z W₁ᵀ

In the line of ∂L/∂z the chain rule really has a matrix: all derivatives of a row of h by the same row of z,

    ∂hᵢ/∂zⱼ = δᵢⱼ σ'(zᵢ),    σ'(z) = σ(z) (1 - σ(z)),

with the Kronecker delta δᵢⱼ, which is 1 for i = j and else 0: each unit depends on its own z alone. The matrix is
diagonal, and the product of a row with a diagonal matrix is a product element by element. So the engine never forms it;
asked for it with `ad.jacobian`, it gives it.

The engine follows the same lines. On the way forward it writes down each call; `L.backward()` walks the list backward
and applies to each call its derivative. It leaves the gradients of what was made by hand (X, W₁, b₁, W₂, b₂); that of a
value in between is the gradient of all that comes after it, as a function of it. All are printed beside those by hand,
and shown in the graph of the calls. The file backpropagation.html is a page to step through the calls in a browser,
forward, and then backward from one derivative to the next.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

import autodiff as ad
import nn
from demos import chapter
from nn.functional import sigmoid

INPUTS = {"X": (3, 2), "W1": (2, 3), "b1": (3,), "W2": (3, 2), "b2": (2,)}
FORMULAS = {
    "O": "O - Y",
    "W2": "hᵀ ∂L/∂O",
    "b2": "Σ over rows of ∂L/∂O",
    "h": "∂L/∂O W₂ᵀ",
    "z": "∂L/∂h ⊙ h ⊙ (1 - h)",
    "W1": "Xᵀ ∂L/∂z",
    "b1": "Σ over rows of ∂L/∂z",
    "X": "∂L/∂z W₁ᵀ",
}
SUBSCRIPTS = str.maketrans("12", "₁₂")


def main(arguments: Sequence[str] | None = None) -> dict[str, Any]:
    """Run the chapter, and give the figures that it is about."""
    options = chapter.Parser("backpropagation", __doc__).parse(arguments)
    rng = np.random.default_rng(options.seed)
    values = [rng.normal(size=shape) for shape in INPUTS.values()]
    Y = rng.normal(size=(3, 2))

    hand = by_hand(*values, Y)
    engine, L = by_engine(*values, Y)
    for name, formula in FORMULAS.items():
        show(f"∂L/∂{name.translate(SUBSCRIPTS)} = {formula}", "by hand", "by engine")
        for ours, its in zip(np.atleast_2d(hand[name]), np.atleast_2d(engine[name])):
            show("", row(ours), row(its))
    difference = max(np.abs(hand[name] - engine[name]).max() for name in FORMULAS)
    print(f"largest difference {difference:.1e}\n")

    X, W1, b1, _, _ = values
    z = X[0] @ W1 + b1
    slope = np.exp(-z) / (1 + np.exp(-z)) ** 2
    matrix = ad.jacobian(sigmoid)(z)
    show("∂h/∂z, for the first row", "δᵢⱼ σ'(zᵢ)", "by engine")
    for ours, its in zip(np.eye(3) * slope, matrix):
        show("", row(ours), row(its))
    show("∂L/∂z, for the first row", "∂L/∂h ⊙ σ'(z)", "∂L/∂h ∂h/∂z")
    show("", row(hand["h"][0] * slope), row(hand["h"][0] @ matrix))

    graph = ad.draw(L)
    chapter.save(graph, options.output, "backpropagation.html")
    chapter.save(graph, options.output, "backpropagation.svg")
    chapter.save(graph, options.output, "backpropagation.png")
    return {"by_hand": hand, "by_engine": engine, "difference": difference, "slope": slope, "matrix": matrix}


def show(what: str, left: str, right: str) -> None:
    """Print a line of two columns."""
    print(f"{what:34}{left:27}{right}")


def row(numbers: Any) -> str:
    """Put numbers into columns."""
    return " ".join(f"{number:7.4f}" for number in numbers)


def by_hand(X: Any, W1: Any, b1: Any, W2: Any, b2: Any, Y: Any) -> dict[str, Any]:
    """Give all gradients by the formulas, in plain NumPy."""
    h = 1 / (1 + np.exp(-(X @ W1 + b1)))
    dO = h @ W2 + b2 - Y
    dh = dO @ W2.T
    dz = dh * h * (1 - h)
    return {
        "O": dO, "W2": h.T @ dO, "b2": dO.sum(axis=0), "h": dh, "z": dz, "W1": X.T @ dz, "b1": dz.sum(axis=0),
        "X": dz @ W1.T,
    }  # fmt: skip


def by_engine(*values: Any) -> tuple[dict[str, Any], ad.Tensor]:
    """Give all gradients by the engine, and the loss, whose graph bears them."""
    names = [name.translate(SUBSCRIPTS) for name in INPUTS]
    X = ad.Tensor(values[0], name="X")
    W1, b1, W2, b2 = (nn.Parameter(value, name=name) for value, name in zip(values[1:-1], names[1:]))
    Y = ad.Tensor(values[-1], requires_grad=False, name="Y")

    def after_out(out: Any) -> Any:
        return ((out - Y) ** 2).sum() / 2

    def after_h(h: Any) -> Any:
        return after_out(h @ W2 + b2)

    def after_z(z: Any) -> Any:
        return after_h(sigmoid(z))

    z = X @ W1 + b1
    h = sigmoid(z)
    out = h @ W2 + b2
    L = after_out(out)
    L.backward()
    for tensor, name, after in ((z, "z", after_z), (h, "h", after_h), (out, "O", after_out)):
        tensor.name = name
        tensor.grad = ad.grad(after)(tensor).data
    L.name = "L"
    tensors = {"O": out, "W2": W2, "b2": b2, "h": h, "z": z, "W1": W1, "b1": b1, "X": X}
    return {name: tensor.grad for name, tensor in tensors.items()}, L


if __name__ == "__main__":
    main()
