"""Complex numbers in pictures, formulas and pages: gradients are PyTorch's, as `backward` leaves them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import autodiff as ad
from autodiff import Tensor
from autodiff.core.tape import Outputs, conj
from autodiff.drawing import page as page_module
from autodiff.drawing.formulas import formulas
from autodiff.drawing.gradients import shown
from autodiff.drawing.nodes import nodes_of
from autodiff.drawing.text import norm
from tests.cases.points import places_of, several
from tests.pictures import lines_of
from tests.test_complex import FINITE, complex_args
from tests.test_formulas import by_rule, calls_behind, gradient_for, name_of, texts
from tests.test_page import CHROMIUM, browser, data_of, open_page  # noqa: F401 (fixtures)

z, w = Tensor([1 + 2j, 3 - 1j], name="z"), Tensor([0.5 + 1j, 2.0], name="w")
W = Tensor([[1j, 2.0], [3.0, 4j]], name="W")
x = Tensor([0.5, 2.0], name="x")


def chain() -> tuple[Tensor, list[Tensor]]:
    """Complex numbers that come from real ones and become real: by a phase, a product, conjugates, parts and lists."""
    u, v = Tensor([1.5 - 0.5j, 0.25 + 1j], name="u"), Tensor([[1.0, 2j], [0.5 - 1j, -1.0]], name="V")
    angle, scale = Tensor([0.3, 0.6], name="angle"), Tensor(0.5, name="scale")
    turned = np.exp(1j * angle) * (v @ u)
    loss = (np.abs(turned) ** 2).sum() + np.real(u.conj() * u[::-1] * (1 - 2j)).sum() + (scale * u[0]).imag
    loss = loss + np.abs(np.concatenate([u, turned]) * scale).sum()
    loss.name = "L"
    return loss, [u, v, angle, scale]


# Formulas


@pytest.mark.parametrize(
    ("call", "expected"),
    [
        (lambda: z * w, ["∂(z·w)/∂z = w", "∂(z·w)/∂w = z"]),
        (lambda: z * (1 - 2j), ["∂(z·(1−2j))/∂z = 1−2j"]),
        (lambda: z / 2j, ["∂(z/2j)/∂z = 1/2j"]),
        (lambda: -1j * z, ["∂((−1j)·z)/∂z = −1j"]),
        (lambda: 1j * x, ["∂(1j·x)/∂x = 1j"]),
        (lambda: np.exp(z), ["∂exp(z)/∂z = exp(z)"]),
        (lambda: z.conj(), ["g ↦ conj(g)"]),
        (lambda: z.real, ["g ↦ g"]),
        (lambda: z.imag, ["g ↦ 1j·g"]),
        (lambda: np.abs(z), ["g ↦ g ⊙ sign(z)"]),
        (lambda: W @ z, ["g ↦ g[…, None] ⊙ conj(z)", "g ↦ conj(W)ᵀ g"]),
        (lambda: W.data @ x, ["g ↦ real(conj(x⁽¹⁾)ᵀ g)"]),
        (lambda: np.linalg.inv(W), ["g ↦ −(conj(W)⁻¹)ᵀ g (conj(W)⁻¹)ᵀ"]),
        (lambda: z.sum(), ["∂(Σ z)/∂z = 1"]),
        (lambda: W.sum(axis=0), ["g ↦ broadcast(g)"]),
        (lambda: z[1:], ["g ↦ scatter(g, [1:])"]),
        (lambda: np.concatenate([z, w]), ["g ↦ g[0:2]", "g ↦ g[2:4]"]),
        (lambda: np.fft.fftshift(z), ["g ↦ ifftshift(g)"]),
        (lambda: ad.vmap(lambda z: z)(z), ["g ↦ unstack(g)"]),
        (lambda: ad.vmap(lambda z: z)(z)._args[0], ["g ↦ stack(g)"]),
    ],
)
def test_what_is_written(call: Callable[[], Tensor], expected: list[str]) -> None:
    assert texts(call()) == expected


@pytest.mark.together("case", FINITE[::12], ids=str)
@pytest.mark.filterwarnings("ignore::RuntimeWarning", "error::numpy.exceptions.ComplexWarning")
def test_a_formula_computes_what_its_rule_does(case: Any) -> None:
    places = places_of(case)
    args = [Tensor(arg) if k in places else arg for k, arg in enumerate(complex_args(case, places))]
    try:
        calls = list(calls_behind(several(case.function(*args))))
    except (TypeError, NotImplementedError, np.exceptions.ComplexWarning):
        return  # it is for real numbers
    for call in calls:
        g, out = gradient_for(call), call._array
        if type(out) is Outputs:
            g = Outputs(one * (0.6 - 0.8j) if np.iscomplexobj(its) else one for one, its in zip(g, out, strict=True))
        elif np.iscomplexobj(out):
            g = g * (0.6 - 0.8j)
        try:
            expected = by_rule(call, shown(g))
        except (TypeError, ValueError, NotImplementedError, np.exceptions.ComplexWarning):
            continue  # its derivative is, or this is none
        for (tensor, formula), (_, flowing) in zip(formulas(call, name_of, g), expected, strict=True):
            if formula.product is None:
                continue
            gradient = conj(flowing)
            if formula.derivative is not None:
                product = np.broadcast_to(g * np.conj(formula.derivative), np.shape(gradient))
                np.testing.assert_allclose(product, gradient, rtol=1e-12, atol=1e-13)
            elif tensor.dtype.kind == "f":
                gradient = np.real(gradient)
            np.testing.assert_allclose(formula.product, gradient, rtol=1e-12, atol=1e-13)


# Pictures


def test_nodes_show_complex_numbers_and_gradients() -> None:
    loss, (u, *_) = chain()
    loss.backward()
    picture = ad.draw(loss, show=("shape", "value", "grad"), color="grad")
    told = lines_of(picture, "u")
    assert "(2,) complex128" in told
    assert ">1.5-0.5j<" in told
    assert f">norm {np.linalg.norm(u.grad):.3g}<" in told
    for element in u.grad:
        assert f"{element.real:.4g}{element.imag:+.4g}j" in told
    assert "<b>1-2j</b>" in picture.source
    assert "<b>1j</b>" in picture.source
    assert norm(np.array([3 + 4j, 12j])) == 13
    assert norm(np.array([1e300 + 1e300j])) == pytest.approx(np.sqrt(2) * 1e300)


def test_large_arrays_show_their_moments_and_absolute_values() -> None:
    array = np.random.default_rng(0).normal(size=(30, 2)) @ [1, 1j] + (3 - 4j)
    big = Tensor(array, name="big")
    told = lines_of(ad.draw(big.sum(), show="value"), "big")
    assert f"mean {array.mean().real:.3g}{array.mean().imag:+.3g}j, std {array.std():.3g}, absolute values" in told
    array[:3] = complex(np.nan, 1), complex(1, np.inf), complex(-np.inf, np.nan)
    told = lines_of(ad.draw(Tensor(array, name="odd").sum(), show="value"), "odd")
    assert "1 NaN, 2 Inf of 30" in told


def test_the_graph_of_a_backward_pass_ends_with_what_backward_leaves() -> None:
    loss, leaves = chain()
    loss.backward()
    picture = ad.draw(loss, graph="backward")
    found = {output.name: output.data for output in picture.outputs}
    for leaf in leaves:
        np.testing.assert_allclose(found[f"∂L/∂{leaf.name}"], leaf.grad, rtol=1e-14)


# Pages


def numbers(described: dict[str, Any]) -> Any:
    flat = [complex(*one) if isinstance(one, list) else one for one in described["values"]]
    return np.reshape(flat, described["shape"])


def test_contributions_are_products_with_conjugates_and_add_up() -> None:
    loss, leaves = chain()
    nodes = page_module._data(nodes_of([loss]))["nodes"]
    by_key = {node["key"]: node for node in nodes}
    loss.backward()
    for leaf in leaves:
        (node,) = (node for node in nodes if node["name"] == leaf.name)
        assert node["gradient"]["dtype"] == str(leaf.dtype)
        np.testing.assert_allclose(numbers(node["gradient"]), leaf.grad, rtol=1e-14)
        np.testing.assert_array_equal(numbers(node["value"]), leaf.data)
    became = set()
    for node in nodes:
        if node["gradient"] and node["arrivals"]:
            places = [(by_key[key]["edges"], place) for key, place in node["arrivals"]]
            edges = [edge for edges, place in places for edge in edges if edge["position"] == place]
            total = sum(numbers(edge["contribution"]) for edge in edges)
            np.testing.assert_allclose(total, numbers(node["gradient"]), rtol=1e-13)
        for edge in node.get("edges", ()):
            if edge.get("derivative"):
                product = numbers(node["gradient"]) * numbers(edge["derivative"])
                whole = numbers(edge["product"] or edge["contribution"])
                np.testing.assert_allclose(np.broadcast_to(product, whole.shape), whole, rtol=1e-13)
                if edge["becomes"] == "real part":
                    np.testing.assert_array_equal(whole.real, numbers(edge["contribution"]))
                became.add((edge["becomes"], edge["conj"]))
    assert {("", False), ("", True), ("real part", True), ("real part, summed", True)} <= became


def test_what_is_complex_itself_has_the_gradient_of_its_real_part() -> None:
    product = z * (1 + 1j)
    product.name = "p"
    (gradient,) = ad.draw(product, graph="backward").outputs
    assert gradient.name == "∂Re(p)/∂z"
    np.testing.assert_array_equal(gradient.data, ad.grad(lambda z: np.real(z * (1 + 1j)).sum())(z.data))
    data = page_module._data(nodes_of([product]))
    assert data["loss"] == "Re(Σp)"
    np.testing.assert_array_equal(numbers(data["nodes"][0]["gradient"]), gradient.data)


def test_large_complex_arrays_are_summarised() -> None:
    array = np.random.default_rng(0).normal(size=(200, 2)) @ [1, 1j]
    value = data_of(page_module.page([np.abs(Tensor(array, name="big") * 2).sum()]))["big"]["value"]
    assert complex(*value["mean"]) == pytest.approx(array.mean())
    assert (value["std"], value["min"], value["max"]) == pytest.approx((array.std(), *np.sort(np.abs(array))[[0, -1]]))
    assert value["absolute"]
    assert min(value["strip"]) > 0


@pytest.mark.skipif(CHROMIUM is None, reason="chromium is not installed")
def test_in_a_browser(open_page: Callable[..., Any]) -> None:  # noqa: F811 (the fixture)
    u, v = Tensor([1 + 2j, complex(np.nan, -0.25)], name="u"), Tensor(2 - 1j, name="v")
    product = u * v
    product.name = "p"
    page = open_page(np.real(product).sum())
    assert page.locator("#step [data-value]").all_inner_texts() == ["1+2j", "NaN−0.25j"]
    assert page.locator("#step [data-value]").first.get_attribute("title") == "1+2j"
    page.locator("#graph .node[id^=node_]", has_text="multiply").click()
    page.locator("#graph .node[id^=node_]", has_text="multiply").click()
    assert page.inner_text("#heading").startswith("∂")
    assert page.locator("#step .formula").all_inner_texts() == ["∂p/∂u = v", "∂p/∂v = u"]
    assert "conj(∂p/∂u)" in page.inner_text("#step")
    assert page.locator("#step .result [data-value]").first.inner_text() == "2+1j"
