"""Pictures of functions of one example on a batch: how many members there are stands before the shape of one."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pytest

import autodiff as ad
from tests.pictures import lines_of
from tests.test_page import described, numbers

RNG = np.random.default_rng(0)
X = RNG.normal(size=(3, 2))


def weights() -> ad.Tensor:
    return ad.Tensor(np.array([[1.0, -1.0], [0.5, 2.0]]), name="W")


def loss(W: Any, x: Any) -> Any:
    return (np.tanh(x @ W) ** 2).sum()


def said(drawing: Any, title: str) -> str:
    return " ".join(re.findall(r">([^<>]+)<", lines_of(drawing, title)))


def test_shapes_say_how_many_members_there_are() -> None:
    drawing = ad.draw(ad.vmap(loss, in_axes=(None, 0)), weights(), X, show="shape")
    assert said(drawing, "x") == "x (3, 2)"
    assert said(drawing, "W") == "W (2, 2)"
    assert said(drawing, "unstack") == "unstack axis=0 3 × (2,)"
    assert said(drawing, "tanh") == "tanh 3 × (2,)"
    assert said(drawing, "sum") == "sum 3 × ()"
    assert said(drawing, "stack") == "stack axis=0 (3,)"
    inner = ad.vmap(lambda x, y: np.sin(x) * y, in_axes=(0, None))
    nested = ad.draw(ad.vmap(inner, in_axes=(0, None)), RNG.normal(size=(5, 4, 2)), 2.0, show="shape")
    assert said(nested, "sin") == "sin 5 × 4 × (2,)"


def test_within_a_batch_and_of_what_came_out_of_one() -> None:
    drawings = []

    def member(W: Any, x: Any) -> Any:
        value = loss(W, x)
        drawings.append(ad.draw(value, show="shape"))
        return value

    out = ad.vmap(member, in_axes=(None, 0))(weights(), X)
    assert said(drawings[0], "matmul") == "matmul 3 × (2,)"
    assert said(drawings[0], "x") == "x 3 × (2,)"
    assert said(ad.draw(out, show="shape"), "matmul") == "matmul 3 × (2,)"


def test_values_and_gradients_are_those_of_all_members() -> None:
    W = weights()
    out = ad.vmap(loss, in_axes=(None, 0))(W, X).sum()
    drawing = ad.draw(out, show=("value",))
    hidden = np.tanh(X @ W.data)
    assert said(drawing, "tanh").split()[1:] == [f"{one:.4g}" for one in hidden.ravel()]
    drawing = ad.draw(out, color="grad", show=("shape", "grad"))
    assert f"norm {np.linalg.norm(2 * hidden):.3g}" in said(drawing, "tanh")
    assert "gradient 3 × (2,)" in said(drawing, "tanh")
    out.backward()
    drawing = ad.draw(out)
    assert said(drawing, "W").split("gradient ")[1] == " ".join(f"{one:.4g}" for one in W.grad.ravel())
    values, gradients = said(drawing, "tanh").split(" gradient ")
    assert values == " ".join(["tanh 3 × (2,)", *(f"{one:.4g}" for one in hidden.ravel())])
    assert gradients == " ".join(f"{one:.4g}" for one in 2 * hidden.ravel())


def test_backward_passes_sum_over_the_members_for_what_they_share() -> None:
    source = ad.draw(ad.vmap(loss, in_axes=(None, 0))(weights(), X).sum(), graph="backward").source
    assert re.search(r"<b>sum</b>.*∂L/∂W.*\(2, 2\)", source)
    assert "3 × (2, 2)" in source


@pytest.mark.parametrize(
    ("function", "formula"),
    [
        (lambda x: np.tanh(x), "∂tanh(v₁)/∂v₁ = 1 − tanh²(v₁)"),
        (lambda x: x**2, "∂(v₁²)/∂v₁ = 2·v₁"),
        (lambda x: x.sum(), "∂(Σ v₁)/∂v₁ = 1"),
    ],
)
def test_formulas_are_those_of_a_member(function: Any, formula: str) -> None:
    source = re.sub("<[^<>]*>", "", ad.draw(ad.vmap(function), X, formulas=True).source)
    assert formula in source
    assert "g ↦ stack(g)" in source
    assert "g ↦ unstack(g)" in source


def test_pages_show_all_members() -> None:
    W = weights()
    out = ad.vmap(loss, in_axes=(None, 0))(W, X)
    nodes = list(described(out).values())
    by_title = {node["title"]: node for node in nodes}
    tanh = by_title["tanh"]
    assert (tanh["value"]["shape"], tanh["value"]["batches"]) == ([3, 2], 1)
    np.testing.assert_allclose(numbers(tanh["value"]), np.tanh(X @ W.data), rtol=1e-12)
    np.testing.assert_allclose(numbers(tanh["edges"][0]["derivative"]), 1 - np.tanh(X @ W.data) ** 2, rtol=1e-12)
    of_weights = by_title["matmul"]["edges"][0]
    assert of_weights["contribution"]["shape"] == [2, 2]
    np.testing.assert_allclose(
        numbers(by_title["input"]["gradient"]), ad.grad(lambda W: ad.vmap(loss, (None, 0))(W, X).sum())(W.data)
    )
    assert "batches" not in by_title["input"]["value"]
