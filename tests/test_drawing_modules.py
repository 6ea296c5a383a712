"""Boxes around modules, what is drawn as one item, and graphs that are too large to be drawn whole."""

from __future__ import annotations

import gc
import re
import threading

import numpy as np
import pytest

import autodiff as ad
import nn
from autodiff.drawing import draw
from autodiff.drawing.collapse import MOST_ITEMS, Group, View, _repetitions, arrange
from autodiff.drawing.gradients import backward_graph
from autodiff.drawing.modules import boxes_of
from autodiff.drawing.nodes import Node, nodes_of
from tests.pictures import lines_of, needs_graphviz

X = np.ones((5, 4), np.float32)


def mlp() -> nn.MLP:
    return nn.MLP([4, 8, 3], activation="relu", rng=0)


def titles(nodes: list[Node]) -> dict[str, list[str]]:
    """The titles of the boxes around each node, from the outermost, by what the node is called."""
    boxes = boxes_of(nodes)
    return {
        node.name or getattr(getattr(node.value, "_function", None), "__name__", "array").lstrip("_"): [
            box.title for box in boxes[node.key].chain
        ]
        if node.key in boxes
        else []
        for node in nodes
    }


def view_of(output: ad.Tensor, depth: int | None = None) -> View:
    nodes = nodes_of([output])
    return arrange(nodes, boxes_of(nodes), depth)


def clusters(source: str) -> list[str]:
    """The titles of the boxes in a source."""
    return [
        re.sub("<[^>]*>", "", line[7:]) for line in source.splitlines() if re.match(r"\s+graph \[.*labeljust", line)
    ]


# Boxes


def test_calls_are_in_the_boxes_of_the_modules_that_made_them() -> None:
    model = mlp()
    loss = nn.functional.cross_entropy(model(X), np.zeros(5, int))
    found = titles(nodes_of([loss]))
    assert found["relu"] == ["MLP(4 → 8 → 3)", "layers.1: ReLU()"]
    assert found["linear"] == ["MLP(4 → 8 → 3)", "layers.2: Linear(8, 3)"]
    assert found["layers.0.weight"] == ["MLP(4 → 8 → 3)", "layers.0: Linear(4, 8)"]
    assert found["cross_entropy"] == []
    assert found["array"] == []  # what flows in from outside is outside


def test_numbers_and_arrays_of_a_module_are_inside() -> None:
    class Scaled(nn.Module):
        def __init__(self) -> None:
            self.inner = nn.Linear(4, 4, rng=0)

        def forward(self, x: ad.Tensor) -> ad.Tensor:
            return self.inner(x) * 3.0 + np.arange(4, dtype=np.float32)

    nodes = nodes_of([Scaled()(ad.Tensor(X, name="x"))])
    assert titles(nodes)["x"] == []
    model = Scaled()
    nodes = nodes_of([model(ad.Tensor(X, name="x"))])
    boxes = boxes_of(nodes)
    inside = [node for node in nodes if node.kind == "constant"]
    assert len(inside) == 2
    assert {boxes[node.key].title for node in inside} == {"Scaled()"}
    assert titles(nodes)["x"] == []
    assert titles(nodes)["inner.weight"] == ["Scaled()", "inner: Linear(4, 4)"]


def test_a_layer_that_two_others_share_stands_where_both_are() -> None:
    class Tied(nn.Module):
        def __init__(self) -> None:
            self.first, self.second = nn.Linear(4, 4, rng=0), nn.Linear(4, 4, rng=1)
            self.second.weight = self.first.weight

        def forward(self, x: ad.Tensor) -> ad.Tensor:
            return self.second(self.first(x))

    model = Tied()
    assert titles(nodes_of([model(X)]))["weight"] == ["Tied()"]


def test_several_calls_of_a_layer_are_told_apart() -> None:
    layer = nn.Linear(4, 4, rng=0)
    source = draw(layer(layer(ad.Tensor(X)))).source
    assert "call 1 of 2: Linear(4, 4)" in source
    assert "call 2 of 2: Linear(4, 4)" in source

    class Twice(nn.Module):
        def __init__(self) -> None:
            self.cell = nn.Linear(4, 4, rng=0)

        def forward(self, x: ad.Tensor) -> ad.Tensor:
            return self.cell(self.cell(x))

    assert "cell call 2 of 2: Linear(4, 4)" in draw(Twice(), X).source


def test_a_module_that_is_gone_has_no_box() -> None:
    model = mlp()
    layer, out = model.layers[0], model(X)
    del model
    gc.collect()
    found = titles(nodes_of([out]))
    assert found["relu"] == []
    assert found["layers.0.weight"] == ["Linear(4, 8)"]
    assert layer.weight.name == "layers.0.weight"


def test_modules_of_another_thread_make_no_boxes() -> None:
    ours, theirs = mlp(), nn.Sequential(nn.Linear(4, 4, rng=1))
    entered, done = threading.Event(), threading.Event()

    class Slow(nn.Module):
        def forward(self, x: ad.Tensor) -> ad.Tensor:
            entered.set()
            assert done.wait(10)
            return theirs(x)

    slow = Slow()
    thread = threading.Thread(target=slow, args=(X,))
    thread.start()
    assert entered.wait(10)
    out = ours(X)
    done.set()
    thread.join()
    found = titles(nodes_of([out]))
    assert found["relu"] == ["MLP(4 → 8 → 3)", "layers.1: ReLU()"]


def test_a_graph_of_another_thread_has_its_boxes() -> None:
    model, outputs = mlp(), []
    thread = threading.Thread(target=lambda: outputs.append(model(X)))
    thread.start()
    thread.join()
    assert titles(nodes_of(outputs))["relu"] == ["MLP(4 → 8 → 3)", "layers.1: ReLU()"]


def test_any_object_with_named_modules_can_own_a_box() -> None:
    from autodiff.core.clock import note, tick

    class Owner:
        def named_modules(self):
            return [("", self)]

    owner, start = Owner(), tick()
    y = ad.Tensor(2.0) * 3
    note(owner, start)
    assert "Owner</" in draw(y).source


def test_the_backward_pass_has_boxes_of_its_own() -> None:
    model = mlp()
    loss = nn.functional.cross_entropy(model(X), np.zeros(5, int))
    backward = backward_graph([loss], {})
    nodes = nodes_of(backward.gradients, turn=backward.turn)
    boxes = boxes_of(nodes, backward.origins)
    for node in nodes:
        if node.kind == "gradient" and node.is_output:
            path = node.name.removeprefix("∂L/∂").rpartition(".")[0]
            assert [box.title for box in boxes[node.key].chain][1].startswith(f"backward of {path}: Linear("), node.name
        if node.kind == "parameter":
            assert boxes[node.key].title.startswith(node.name.rpartition(".")[0])


# Depth


def test_depth_makes_single_nodes_of_modules() -> None:
    model = mlp()
    loss = nn.functional.cross_entropy(model(X), np.zeros(5, int))
    drawing = draw(loss, depth=1)
    assert "(5, 4) → (5, 8)" in lines_of(drawing, "layers.0: Linear(4, 8)")
    assert "40 parameters" in lines_of(drawing, "layers.0: Linear(4, 8)")
    assert "(5, 8) → (5, 3)" in lines_of(drawing, "layers.2: Linear(8, 3)")
    assert "layers.0.weight" not in drawing.source
    assert repr(drawing) == repr(draw(loss))
    whole = lines_of(draw(loss, depth=0), "MLP(4 → 8 → 3)")
    assert "(5, 4) → (5, 3)" in whole
    assert "67 parameters" in whole
    assert draw(loss, depth=2).source == draw(loss, depth=9).source == draw(loss).source


def test_a_module_shows_the_gradient_norm_of_its_parameters() -> None:
    model = mlp()
    loss = nn.functional.cross_entropy(model(X), np.zeros(5, int))
    assert "gradient" not in draw(loss, depth=1).source
    loss.backward()
    norm = np.sqrt(sum((p.grad.astype(float) ** 2).sum() for p in model.layers[0].parameters()))
    assert f"gradient norm {norm:.3g}<" in lines_of(draw(loss, depth=1), "layers.0: Linear(4, 8)")


def test_a_hundred_layers_are_one_page() -> None:
    model = nn.MLP([4, *[8] * 99, 3], activation="relu", rng=0)
    drawing = draw(model, X, depth=1)
    assert repr(drawing) == "Drawing(nodes=400, calls=199)"
    folded = lines_of(drawing, "layers.2 … layers.196: Linear(8, 8)")
    assert "(5, 8) → (5, 8)" in folded
    assert f"{98 * 72:,} parameters" in folded
    assert "× 98" in drawing.source
    assert len(re.findall(r"^\t* *\w+ \[.*id=node_", drawing.source, re.MULTILINE)) == 6


def test_two_of_a_kind_are_not_folded() -> None:
    model = nn.MLP([8, 8, 8, 3], activation="relu", rng=0)
    assert "×" not in draw(model, np.ones((2, 8), np.float32), depth=1).source


def test_what_differs_is_not_folded() -> None:
    model = nn.Sequential(*(nn.Linear(n, n + 1, rng=0) for n in range(4, 9)))
    assert "×" not in draw(model, X, depth=1).source


def test_the_arrows_of_what_is_folded_lead_in_and_out() -> None:
    model = nn.MLP([4, *[8] * 5, 3], activation="relu", rng=0)
    nodes = nodes_of([model(ad.Tensor(X))])
    view = arrange(nodes, boxes_of(nodes), 1)
    first = [item for item in view.items if isinstance(item, Group)]
    chain = {item.key: [view.place[operand] for operand in item.operands] for item in first}
    x = next(node.key for node in nodes if node.kind == "input")
    assert list(chain.values()) == [[x], *[[key] for key in list(chain)[:-1]]]


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("abababab", [(0, 2, 4)]),
        ("xaaaay", [(1, 1, 4)]),
        ("aabb", []),
        ("abcabcabcaaaa", [(0, 3, 3), (9, 1, 4)]),
        ("", []),
    ],
)
def test_repetitions(text: str, found: list[tuple[int, int, int]]) -> None:
    assert _repetitions([ord(letter) for letter in text], [False] * len(text)) == found


def test_a_repetition_begins_with_what_bears_parameters() -> None:
    assert _repetitions([0, 1, 0, 1, 0, 1, 0], [False, True] * 3 + [False]) == [(1, 2, 3)]


# Size


def check_arrows(view: View) -> None:
    """All arrows must lead on: no group may use what is computed from it."""
    below: dict[str, set[str]] = {item.key: {view.place[x] for x in item.operands} for item in view.items}
    left = set(below)
    while left:
        free = {key for key in left if not below[key] & left}
        assert free, "the groups form a cycle"
        left -= free


def random_graph(calls: int, leaves: int = 20) -> ad.Tensor:
    rng = np.random.default_rng(0)
    values = [ad.Tensor(rng.normal(), name=f"x{k}") for k in range(leaves)]
    for k in range(calls - leaves + 1):
        a, b = rng.integers(0, leaves, 2)
        values[a] = np.tanh(values[a]) if k % 2 else values[a] + values[b]
    return sum(values[1:], start=values[0])


def wide_graph(calls: int) -> ad.Tensor:
    return np.stack([ad.Tensor(1.0, name=f"x{k}") * 2 for k in range(calls)]).sum()


def deep_model(calls: int) -> ad.Tensor:
    blocks = [
        nn.Sequential(nn.Linear(4, 4, rng=0), nn.Tanh()) if k % 3 else nn.Linear(4, 4, rng=0) for k in range(calls // 3)
    ]
    deep_model.kept = nn.Sequential(*blocks)  # alive, as its modules have no boxes otherwise
    return deep_model.kept(X).sum()


def mixed_chain(calls: int) -> ad.Tensor:
    rng = np.random.default_rng(0)
    y = ad.Tensor(1.0, name="x")
    for k in rng.integers(0, 4, calls):
        y = (np.tanh, np.sin, np.cos, np.negative)[k](y)
    return y


def stack_of_inputs(calls: int) -> ad.Tensor:
    return np.stack([ad.Tensor(1.0, name=f"x{k}") for k in range(calls)]).sum()


@needs_graphviz
@pytest.mark.parametrize("make", [random_graph, wide_graph, deep_model, mixed_chain, stack_of_inputs])
def test_5000_nodes_are_drawn_and_say_what_is_left_out(make) -> None:
    output = make(5000)
    drawing = draw(output)
    svg = drawing._repr_svg_()
    assert drawing.nodes >= 5000
    assert f"{drawing.nodes:,} nodes are too many for one picture: " in svg
    view = view_of(output)
    assert len(view.items) <= MOST_ITEMS
    assert len(view.place) == drawing.nodes
    check_arrows(view)


def test_what_is_left_out_is_counted() -> None:
    drawing = draw(mixed_chain(5000))
    assert "the middle of long chains is left out" in drawing.source
    assert "4,994 calls" in drawing.source
    assert "4,994 more inputs" in draw(stack_of_inputs(5000)).source
    assert "4,994 more calls" in draw(wide_graph(5000)).source


def test_a_graph_that_fits_is_drawn_whole() -> None:
    chain = mixed_chain(MOST_ITEMS - 1)
    assert "too many" not in draw(chain).source
    assert draw(chain).source.count("id=node_") == MOST_ITEMS
    assert "too many" in draw(mixed_chain(MOST_ITEMS)).source


@needs_graphviz
def test_a_deep_chain_is_drawn_without_recursion() -> None:
    mixed = draw(mixed_chain(100_000))
    assert repr(mixed) == "Drawing(nodes=100001, calls=100000)"
    assert "99,994 calls" in mixed._repr_svg_()
    assert "100,001 nodes" in mixed.source


@needs_graphviz
def test_a_call_that_is_repeated_is_drawn_once() -> None:
    y = ad.Tensor(1.0, name="x")
    for _ in range(5000):
        y = -y
    assert "× 4,999" in draw(y)._repr_svg_()  # the first takes the input and is drawn by itself


def test_outputs_are_never_left_out() -> None:
    outputs = []
    y = ad.Tensor(1.0)
    for k in range(1000):
        y = np.tanh(y) if k % 2 else y * 2
        if k in (300, 600):
            outputs.append(y)
    view = arrange(nodes := nodes_of([*outputs, y]), boxes_of(nodes))
    assert sum(item.is_output for item in view.items) == 3
    check_arrows(view)
