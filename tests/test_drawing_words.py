"""The default picture: what is small in numbers, with the gradient of every node, in the user's own words."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pytest

import autodiff as ad
import nn
from autodiff.drawing import draw
from autodiff.drawing.gradients import MOST_NUMBERS
from autodiff.drawing.nodes import nodes_of
from tests.pictures import needs_graphviz, shown_in, texts

# Functions without assertions hold the variables: in one with them, pytest looks at locals(), and nobody else does.


def scalars() -> tuple[ad.Drawing, ad.Drawing, ad.Drawing, list[Any]]:
    x, y, z = (ad.Tensor(value) for value in (2.0, -3.0, 10.0))
    d = x * y + z
    L = d**2
    before = draw(L)
    L.backward()
    after = draw(L)
    L.backward()
    return before, after, draw(L), [x.grad, y.grad, z.grad]


# Numbers and gradients


def test_every_scalar_shows_value_and_gradient_with_their_signs() -> None:
    before, after, twice, gradients = scalars()
    assert texts(before, "x") == ["x", "= 2"]
    assert "gradient" not in before.source
    shown = {title: texts(after, title)[1:] for title in ("x", "y", "z", "multiply", "add", "power")}
    assert shown == {
        "x": ["= 2", "gradient = -24"],
        "y": ["= -3", "gradient = 16"],
        "z": ["= 10", "gradient = 8"],
        "multiply": ["= -6", "gradient = 8"],
        "add": ["d", "= 4", "gradient = 8"],
        "power": ["L", "= 16", "gradient = 1"],
    }
    assert "gradient of L by the node’s value" in after.source
    # Two passes have added up at the leaves: no node on the way has a gradient that goes with these.
    assert [texts(twice, name)[-1] for name in "xyz"] == [f"gradient = {one:g}" for one in gradients]
    assert gradients == [-48, 32, 16]
    assert twice.source.count("gradient =") == 3
    assert "gradient that backward() has left at the leaves" in twice.source


def test_gradients_of_other_outputs_are_not_mixed() -> None:
    x = ad.Tensor(2.0, name="x")
    y = x * x
    (y * 3).backward()
    assert draw(y).source.count("gradient =") == 1
    assert texts(draw(y * 3), "x")[-1] == "gradient = 12"
    assert draw(y * 3).source.count("gradient =") == 3
    assert "gradient of the sum of the outputs" in draw([y, y * 2]).source  # which is the same
    both = y * 3
    twice = draw([both, both], color="grad", show=["grad", "value"])
    assert texts(twice, "x")[-1] == "gradient = 12"  # the sum has it once
    half = ad.Tensor(np.float16(2.0), name="half")
    square = half * half
    square.backward(np.float16(1.02))  # by which nothing is multiplied here
    assert "has left at the leaves" in draw(square).source
    y.retain_grad()
    x.grad = None
    y.backward()
    assert texts(draw(y * 3), "x")[-1] == "gradient = 4"
    assert draw(y * 3).source.count("gradient =") == 2  # and the one that y keeps


def test_a_function_of_one_number_shows_its_gradients() -> None:
    w = ad.Tensor(3.0, name="w")
    w.grad = np.float64(7.0)
    drawing = draw(lambda x: np.tanh(x * w), 0.5)
    slope = 1 - np.tanh(1.5) ** 2
    assert texts(drawing, "x")[-1] == f"gradient = {3 * slope:.4g}"
    assert texts(drawing, "w")[-1] == f"gradient = {0.5 * slope:.4g}"
    assert texts(drawing, "multiply")[-1] == f"gradient = {slope:.4g}"
    assert w.grad == 7
    several = draw(lambda x: x * np.array([w.data, 1.0]), 0.5)
    assert "gradient" not in several.source


def test_small_arrays_show_numbers_and_large_ones_norms() -> None:
    X, t = np.array([[1.0, 2.0], [0.5, -1.0]], np.float32), np.array([[1.0], [0.0]], np.float32)
    model = nn.MLP([2, 3, 1], activation="tanh", rng=0)
    loss = nn.functional.mse_loss(model(X), t)
    loss.backward()
    difference = model(X).data - t
    told = texts(draw(loss), "subtract")
    numbers = [f"{x:.4g}" for x in difference.ravel()]
    assert told == ["subtract", "(2, 1)", *numbers, "gradient", *numbers]
    wide = nn.MLP([64, 32, 10], rng=0)
    loss = nn.functional.cross_entropy(wide(np.ones((8, 64), np.float32)), np.zeros(8, int))
    loss.backward()
    drawing = draw(loss)
    weight = wide.layers[0].weight
    sizes = [np.linalg.norm(one.astype(float)) for one in (weight.data, weight.grad)]
    assert texts(drawing, "layers.0.weight")[1:] == [
        *("(64, 32)", f"norm {sizes[0]:.3g}", f"gradient norm {sizes[1]:.3g}")
    ]
    assert texts(drawing, "relu")[2].startswith("norm")
    assert texts(drawing, "relu")[3].startswith("gradient norm")
    assert texts(draw(np.ones((8, 64)) @ wide.layers[0].weight), "array")[1:] == ["(8, 64)", "norm 22.6"]


def test_numbers_of_all_kinds() -> None:
    u = ad.Tensor([1 + 2j, 3 - 1j], name="u")
    p = np.abs(u * (1 - 2j)).sum()
    p.backward()
    assert texts(draw(p), "u") == ["u", "(2,) complex128", "1+2j", "3-1j", "gradient"] + [
        f"{one.real:.4g}{one.imag:+.4g}j" for one in u.grad
    ]
    x = ad.Tensor([0.0, np.inf], name="x")
    with np.errstate(all="ignore"):
        y = np.sqrt(x).sum()
        y.backward()
    with np.errstate(all="raise"):
        drawing = draw(y)
    assert texts(drawing, "x") == ["x", "(2,)", "0", "inf", "gradient", "inf", "0"]
    v = ad.Tensor([1.0, 3.0], name="v")
    area = np.trapezoid(v, [0.0, 2.0])
    area.backward()
    assert texts(draw(area), "array") == ["array", "(2,)", "0", "2"]
    assert texts(draw(area), "trapezoid")[-1] == "gradient = 1"
    half = ad.Tensor(np.float32(0.1), name="half")
    assert texts(draw(half * np.float64(2)), "half") == ["half", "float32", "= 0.1"]
    assert texts(draw(ad.Tensor(np.ones((2, 2, 2)), name="cube") * 2), "cube") == ["cube", "(2, 2, 2)", "norm 2.83"]


def test_nobody_is_told_of_gradients_for_a_picture() -> None:
    calls: list[Any] = []
    x, rng = ad.Tensor(2.0, name="x"), np.random.default_rng(0)
    y = x * x
    y.register_hook(lambda g: calls.append(g))
    loss = y * 3
    loss.backward()
    gradient, state = x.grad, rng.bit_generator.state
    assert texts(draw(loss), "x")[-1] == "gradient = 12"
    assert draw(loss).source.count("gradient =") == 3
    assert len(calls) == 1
    assert x.grad is gradient
    drawn = draw(ad.checkpoint(lambda x: calls.append(rng.random()) or x * rng.random()), 2.0)
    assert "gradient" not in drawn.source
    assert len(calls) == 2  # it would be run again
    assert rng.bit_generator.state != state
    y.register_hook(lambda g: 10 * g)
    x.grad = None
    loss.backward()
    assert draw(loss).source.count("gradient =") == 1  # which is not that of the function


def test_gradients_that_cannot_be_had_are_no_error() -> None:
    w = ad.Tensor(2.0, name="w")
    y = w * w
    y.backward()
    w.data = np.float64(3.0)
    assert draw(y).source.count("gradient =") == 1

    @ad.primitive
    def odd(x: Any) -> Any:
        return x + 1.0

    ad.defvjp(odd, lambda g, out, x: 1 / 0)
    assert "gradient" not in draw(odd, 1.0).source
    big = ad.Tensor(np.zeros(MOST_NUMBERS), name="big")
    total = (big * 2).sum()
    total.backward()
    assert texts(draw(total), "big")[-1] == "gradient norm 2e+03"
    assert draw(total).source.count("gradient") == 2  # and in the legend


def test_gradients_within_a_rule_are_not_counted_twice() -> None:
    w, x = ad.Tensor(0.5, name="w"), ad.Tensor(0.25, name="x")
    y = ad.checkpoint(lambda x: np.tanh(x * w) * w)(x)
    y.backward()
    drawing = draw(y, color="grad")
    assert texts(drawing, "w")[-1] == f"gradient = {w.grad:.4g}"
    assert texts(drawing, "x")[-1] == f"gradient = {x.grad:.4g}"


def test_programs_have_no_numbers() -> None:
    compiled = ad.compile(lambda x: np.tanh(x).sum())
    compiled(np.ones(3))
    drawing = draw(compiled)
    assert texts(drawing, "x") == ["x", "(3,)"]
    assert "= 0" not in drawing.source
    for options in ({"show": "value"}, {"show": ("shape", "value")}, {"color": "grad"}):
        with pytest.raises(ValueError, match="draw: a compiled step's program has shapes, and no values or gradients"):
            draw(compiled, **options)


# Words


class Neuron:
    """As one writes it in a first lesson."""

    def __init__(self) -> None:
        self.w = [ad.Tensor(1.0), ad.Tensor(-2.0)]
        self.b = ad.Tensor(0.5)

    def __call__(self, x: Any) -> Any:
        return np.tanh(self.w[0] * x[0] + self.w[1] * x[1] + self.b)


def in_variables() -> ad.Drawing:
    x, W, b = ad.Tensor(np.ones((2, 3))), ad.Tensor(np.ones((3, 4))), {"first": ad.Tensor(np.zeros(4))}
    shift = np.ones(4)
    h = np.tanh(x @ W + b["first"])
    return draw((h * shift).sum())


def reassigned() -> ad.Drawing:
    h = ad.Tensor(0.5, name="x")
    for _ in range(3):
        h = np.sin(h)
    _ = same = h
    h = np.exp(same)
    return draw(h * 2)


def in_helper() -> ad.Drawing:
    def show(x: Any, *others: Any) -> ad.Drawing:
        return draw([x, *others])

    x = ad.Tensor(1.0)
    return show(np.cos(x), np.sin(x))


def test_nodes_bear_the_names_of_variables_that_hold_them() -> None:
    drawing = in_variables()
    for title in ("x", "W", "b['first']", "shift"):
        assert texts(drawing, title)
    assert texts(drawing, "tanh")[1] == "h"
    assert texts(drawing, "matmul")[1] == "(2, 4)"
    neuron, x = Neuron(), [ad.Tensor(3.0), ad.Tensor(1.0)]
    out = neuron(x)
    out.name = "mine"
    assert draw_here(neuron, x, out) == {"neuron.w[0]", "neuron.w[1]", "neuron.b", "x[0]", "x[1]", "mine"}


def draw_here(neuron: Any, x: Any, out: Any) -> set[str | None]:
    drawing = draw(out)
    return {node.name for node in nodes_of(drawing.outputs, drawing._names)} - {None}


def test_a_name_is_never_that_of_another_node() -> None:
    drawing = reassigned()
    names = [node.name for node in nodes_of(drawing.outputs, drawing._names)]
    assert names == ["x", None, None, "same", "h", None, None]
    assert drawing.outputs[0]._args[0].name is None  # they are those of the picture
    drawing = in_helper()
    assert [node.name for node in nodes_of(drawing.outputs, drawing._names)] == ["x", None, None]


def fail(*_: Any) -> Any:
    raise AssertionError("a picture ran the user's code")


class Forbidden:
    __getattribute__ = __eq__ = __hash__ = __len__ = __bool__ = __iter__ = __repr__ = fail
    __dict__ = property(fail)


class OddMeta(type):
    __getattribute__ = __eq__ = __hash__ = fail


def beside_odd_things() -> ad.Drawing:
    nameless = OddMeta("Nameless", (), {"__module__": None})()
    things: list[Any] = [Forbidden(), OddMeta("Odd", (), {})(), nameless, {5: 6}]
    things.append(things)
    x = ad.Tensor(2.0)
    y = x * 3
    return draw(y)


def test_names_are_found_without_running_code_of_objects() -> None:
    assert texts(beside_odd_things(), "x") == ["x", "= 2"]
    code = "x = ad.Tensor(2.0)\ndrawing = ad.draw(x * 3)\nother = ad.draw(lambda x: x * 3, 2.0)"
    for module in (None, 5):  # as programs do that run others
        space: dict[Any, Any] = {"__name__": module, "ad": ad, 7: 8}
        exec(code, space)
        assert texts(space["other"], "x") == ["x", "= 2", "gradient = 3"]
    assert texts(in_odd_attribute(), "input") == ["input", "= 2"]


def in_odd_attribute() -> ad.Drawing:
    neuron = Neuron()
    setattr(neuron, "a b", ad.Tensor(2.0))
    return draw(getattr(neuron, "a b") * 3)


def layered(x: Any, W: Any) -> Any:
    h = np.tanh(x @ W)
    h = np.tanh(h @ W)
    x = h * 2.0
    loss = (x * SCALE).sum()
    return loss


SCALE = ad.Tensor(np.ones((2, 2)))


def test_a_function_names_what_its_variables_held_last() -> None:
    drawing = draw(layered, np.ones((2, 2)), np.ones((2, 2)), show="shape")
    names = [node.name for node in nodes_of(drawing.outputs, drawing._names)]
    assert names.count("h") == names.count("x") == names.count("loss") == 1
    tanhs = [node.name for node in nodes_of(drawing.outputs) if getattr(node.value, "_function", None) is np.tanh]
    assert tanhs == [None, "h"]
    assert SCALE.name is None


def rectified(z: Any) -> Any:
    return np.maximum(z, 0.0)


def through_a_helper(x: Any) -> Any:
    h = x * 2.0
    k = h * 3.0
    h = rectified(h + k)
    return h


def test_a_variable_that_a_helper_has_filled_names_no_other() -> None:
    drawing = draw(through_a_helper, 1.0)
    assert [node.name for node in nodes_of(drawing.outputs) if node.kind == "call"] == [None, "k", "z", None]


def test_names_stand_in_formulas_in_gradients_and_in_pages(tmp_path: Any) -> None:
    forward, backward, path = with_formulas(tmp_path)
    assert "∂product/∂a = b" in re.sub("<.*?>", "", forward.source.replace("label=<", ""))
    assert "∂product/∂a" in backward.source
    assert '"name":"product"' in path.read_text("utf-8")


def with_formulas(folder: Any) -> tuple[ad.Drawing, ad.Drawing, Any]:
    a, b = ad.Tensor(2.0), ad.Tensor(3.0)
    product = a * b
    forward = draw(product, formulas=True)
    return forward, draw(product, graph="backward"), forward.save(folder / "page.html")


# Texts, masks, titles and the legend


def test_einsum_shows_its_text_and_dropout_its_mask() -> None:
    A = ad.Tensor(np.ones((2, 3)), name="A")
    drawing = draw(np.einsum("ij,jk->ik", A, np.ones((3, 2))), show=())
    assert texts(drawing, "einsum") == ["einsum", '"ij,jk-&gt;ik"']
    assert drawing.nodes == 3
    listed = draw(np.einsum(A, [0, 1], np.ones((3, 2)), [1, 2]), show=())
    assert texts(listed, "einsum") == ["einsum", "[0, 1]", "[1, 2]"]
    assert listed.nodes == 3
    model = nn.Sequential(nn.Linear(4, 4, rng=0), nn.Dropout(0.5, rng=0))
    assert texts(draw(model, np.ones((2, 4), np.float32)), "dropout mask")[1] == "(2, 4)"


def test_a_long_title_keeps_the_class() -> None:
    class Projection(nn.Module):
        def forward(self, x: Any) -> Any:
            return x * 2

        def __repr__(self) -> str:
            return "Projection(64, 32, bias=False, dtype=float64, initialised='orthogonally')"

    model = Projection()
    for depth in (None, 0):
        assert "Projection(64, 32, bias=False, dtype=float64, …)" in draw(model, 1.0, depth=depth).source


@needs_graphviz
def test_the_legend_is_no_box() -> None:
    x = ad.Tensor(2.0, name="<b>x")
    x.backward()
    drawing = draw(x)
    legend = drawing.source[drawing.source.index("subgraph cluster_legend") :]
    assert "peripheries=0" in legend
    assert {"float64 unless noted", "gradient of <b>x by the node’s value"} <= set(shown_in(drawing._repr_svg_()))
