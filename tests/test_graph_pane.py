"""The graph in the page: where its nodes stand, and how it is dragged, zoomed, searched, opened and closed."""

from __future__ import annotations

import itertools
import json
import re
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import autodiff as ad
import nn
from autodiff.drawing.collapse import with_runs
from autodiff.drawing.modules import boxes_of
from autodiff.drawing.nodes import nodes_of
from tests.test_page import NAMES, Open, browser, needs_chromium, open_page, two_layers

__all__ = ["browser", "open_page"]  # fixtures


class Block(nn.Module):
    """A way around two layers: what comes in is used at the end once more."""

    def __init__(self) -> None:
        self.first, self.second = nn.Linear(4, 4, rng=0), nn.Linear(4, 4, rng=1)

    def forward(self, x: Any) -> Any:
        return x + self.second(np.tanh(self.first(x)))


def blocks(count: int) -> tuple[nn.Module, ad.Tensor]:
    """Compute with blocks in a row, of 9 nodes each; their module must stay alive."""
    model = nn.Sequential(*(Block() for _ in range(count)))
    return model, (model(np.ones((2, 4))) ** 2).sum()


def neurons(*sizes: int) -> ad.Tensor:
    """Compute with a network of scalars, without modules."""
    rng = np.random.default_rng(0)
    x = [ad.Tensor(0.5, name="a"), ad.Tensor(-1.0, name="b")]
    for size in sizes:
        layer = []
        for _ in range(size):
            total = ad.Tensor(0.0)
            for value in x:
                total = total + ad.Tensor(rng.normal()) * value
            layer.append(total.relu())
        x = layer
    return sum(x[1:], start=x[0])


def rows_of(page: Any, selector: str = "#graph .node[id], #graph .closed") -> list[tuple[float, float, float, float]]:
    corners = "all => all.map((one) => { const b = (one.querySelector('.ground, ellipse, path, rect'))"
    corners += ".getBoundingClientRect(); return [b.left, b.top, b.right, b.bottom]; })"
    return [tuple(box) for box in page.locator(selector).evaluate_all(corners)]


def transform(page: Any) -> tuple[float, float, float]:
    numbers = re.findall(
        r"-?[\d.]+(?:e-?\d+)?", page.locator("#graph > svg > g").evaluate("one => one.style.transform")
    )
    return tuple(map(float, numbers))


def toggle(page: Any, title: str) -> Any:
    return page.locator("#graph .toggle", has_text=title)


def count_of(page: Any) -> str:
    return str(page.inner_text("#graph .count"))


# Where things stand


@needs_chromium
@pytest.mark.parametrize("width", [1280, 390])
def test_the_start_fits_the_graph_and_nothing_overlaps(width: int, open_page: Open) -> None:
    _model, loss = blocks(2)
    for output in (two_layers()[0], loss, neurons(3, 2)):
        page = open_page(output, width=width, height=800)
        frame = page.locator("#graph").bounding_box()
        boxes = rows_of(page)
        assert len(boxes) > 10
        for number, (left, top, right, bottom) in enumerate(boxes):
            assert frame["x"] <= left < right <= frame["x"] + frame["width"]
            assert frame["y"] + 40 <= top < bottom <= frame["y"] + frame["height"]
            for other in boxes[:number]:
                assert right < other[0] or other[2] < left or bottom < other[1] or other[3] < top
        bar = [one.bounding_box() for one in page.locator("#graph .bar > *").all()]
        assert bar[0]["x"] + bar[0]["width"] < bar[1]["x"]
        assert bar[1]["x"] + bar[1]["width"] <= frame["x"] + frame["width"]


@needs_chromium
def test_arrows_lead_down_from_what_is_used_and_stay_out_of_other_nodes(open_page: Open) -> None:
    x = ad.Tensor([0.5, -1.0, 2.0], name="x")
    _model, loss = blocks(1)
    kept = np.stack([np.tanh(np.sin(x * 2)) * x, x * x, x]).sum()
    for output in (kept, loss):
        page = open_page(output)
        points = """all => all.map((edge) => { const path = edge.querySelector("path"), m = path.getScreenCTM();
            return [edge.id, [...Array(41).keys()].map((k) => {
                const p = path.getPointAtLength((path.getTotalLength() * k) / 40).matrixTransform(m);
                return [p.x, p.y]; })]; })"""
        places = dict(
            page.locator("#graph .node[id]").evaluate_all(
                "all => all.map((one) => { const b = one.querySelector('ellipse, path, rect').getBoundingClientRect();"
                "return [one.id.slice(5), [b.left, b.top, b.right, b.bottom]]; })"
            )
        )
        edges = page.locator("#graph .edge").evaluate_all(points)
        nodes = nodes_of([output])
        assert len(edges) == sum(len(node.operands) for node in nodes)
        for name, path in edges:
            _, start, end, _ = name.split("_")
            assert path[0][1] == pytest.approx(places[start][3], abs=3)
            assert path[-1][1] == pytest.approx(places[end][1], abs=8)
            assert places[end][0] <= path[-1][0] <= places[end][2]
            assert all(before[1] <= after[1] + 0.1 for before, after in itertools.pairwise(path))
            for key, (left, top, right, bottom) in places.items():
                inside = [left < px < right and top < py < bottom for px, py in path]
                assert key in (start, end) or not any(inside)


# Moving


@needs_chromium
def test_wheel_drag_buttons_and_fit(open_page: Open) -> None:
    page = open_page(two_layers()[0])
    frame = page.locator("#graph > svg").bounding_box()
    at = frame["x"] + 300, frame["y"] + 200
    start = transform(page)

    def seen(view: tuple[float, float, float]) -> tuple[float, float]:
        """Give what of the graph is under the pointer."""
        return (at[0] - frame["x"] - view[0]) / view[2], (at[1] - frame["y"] - view[1]) / view[2]

    page.mouse.move(*at)
    page.mouse.wheel(0, -200)
    page.wait_for_function(f"!document.querySelector('#graph > svg > g').style.transform.endsWith('({start[2]})')")
    closer = transform(page)
    assert closer[2] == pytest.approx(start[2] * np.exp(0.4))
    np.testing.assert_allclose(seen(closer), seen(start), atol=0.5)
    page.mouse.down()
    page.mouse.move(at[0] + 30, at[1] - 50, steps=3)
    page.mouse.up()
    np.testing.assert_allclose(np.subtract(transform(page), closer), [30, -50, 0], atol=0.3)
    page.get_by_role("button", name="Zoom out").click()
    assert transform(page)[2] == pytest.approx(closer[2] / 1.4)
    page.get_by_role("button", name="Fit").click()
    assert transform(page) == start
    page.get_by_role("button", name="Zoom in").click()
    page.mouse.dblclick(frame["x"] + 4, frame["y"] + frame["height"] / 2)
    assert transform(page) == start
    assert page.inner_text("#where").startswith("Step 1 of ")


@needs_chromium
def test_two_fingers_zoom_and_a_drag_is_no_click(open_page: Open) -> None:
    page = open_page(two_layers()[0], has_touch=True)
    frame = page.locator("#graph > svg").bounding_box()
    start = transform(page)
    session = page.context.new_cdp_session(page)

    def touch(kind: str, *points: tuple[float, float]) -> None:
        fingers = [{"x": frame["x"] + x, "y": frame["y"] + y, "id": number} for number, (x, y) in enumerate(points)]
        session.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": fingers})

    touch("touchStart", (100, 300), (200, 300))
    for spread in (10, 20, 30, 40, 50):
        touch("touchMove", (100 - spread, 300), (200 + spread, 300))
    touch("touchEnd")
    page.wait_for_timeout(50)
    closer = transform(page)
    assert closer[2] == pytest.approx(2 * start[2], rel=0.1)
    assert (150 - closer[0]) / closer[2] == pytest.approx((150 - start[0]) / start[2], abs=5)
    node = page.locator("#graph .node", has_text="sigmoid").bounding_box()
    page.mouse.move(node["x"] + 20, node["y"] + 10)
    page.mouse.down()
    page.mouse.move(node["x"] + 60, node["y"] + 10, steps=4)
    page.mouse.up()
    assert page.inner_text("#where").startswith("Step 1 of ")


# Modules


@needs_chromium
def test_modules_close_and_open_by_a_click_and_by_keys(open_page: Open) -> None:
    _model, loss = blocks(2)
    page = open_page(loss, height=1800)
    nodes = page.locator("#graph .node[id]")
    page.get_by_role("button", name="Open all modules").click()
    all_of_them = len(nodes_of([loss]))
    assert nodes.count() == all_of_them
    toggle(page, "layers.1: Block").click()
    assert nodes.count() == all_of_them - 9
    closed = page.locator("#graph .closed")
    assert closed.locator("text").all_text_contents() == ["layers.1: Block()", "9 nodes"]
    assert toggle(page, "layers.1: Block").get_attribute("aria-expanded") == "false"
    assert page.evaluate("document.activeElement.getAttribute('aria-label')") == "layers.1: Block(), 9 nodes"
    # Of what leads into it, and of what leads out, one arrow from each source is left.
    graph, boxes = nodes_of([loss]), boxes_of(nodes_of([loss]))
    inside = {key for key, box in boxes.items() if any(around.path == "layers.1" for around in box.chain)}
    ends = [(operand, node.key) for node in graph for operand in node.operands]
    outside = [pair for pair in ends if not inside & set(pair)]
    into = {start for start, end in ends if end in inside and start not in inside}
    out = {end for start, end in ends if start in inside and end not in inside}
    assert page.locator("#graph .edge").count() == len(outside) + len(into) + len(out)
    page.keyboard.press("Enter")
    assert nodes.count() == all_of_them
    assert toggle(page, "layers.1: Block").get_attribute("aria-expanded") == "true"
    page.keyboard.press(" ")
    assert nodes.count() == all_of_them - 9
    page.get_by_role("button", name="Close all modules").click()
    assert closed.count() == 1
    page.get_by_role("button", name="Open all modules").click()
    assert closed.count() == 0
    assert nodes.count() == all_of_them


@needs_chromium
def test_what_is_told_of_nodes_in_a_closed_module_is_shown_at_it(open_page: Open) -> None:
    _model, loss = blocks(2)
    page = open_page(loss)
    page.get_by_role("button", name="Open all modules").click()
    for number in range(2):
        toggle(page, f"layers.{number}: Block").click()
    first, second = (page.locator("#graph .closed", has_text=f"layers.{number}: Block") for number in range(2))

    def marks(box: Any) -> set[str]:
        return set(box.get_attribute("class").split()) - {"box", "closed"}

    said = []
    for _ in range(2 * len(nodes_of([loss])) - 4):
        said.append((marks(first), marks(second)))
        assert page.locator("#graph [aria-current]").count() == 1
        page.keyboard.press("ArrowRight")
    assert said[0] == ({"current"}, {"away"})
    times = [sum("current" in marks for marks in of) for of in zip(*said)]
    assert min(times) >= 16


@needs_chromium
def test_a_node_that_is_selected_is_the_step(open_page: Open) -> None:
    page = open_page(neurons(3, 2))
    page.locator("#graph .node", has_text=re.compile(r"^\s*b")).click()
    assert page.inner_text("#heading") == "b"
    page.locator("#graph .node.current").press("Enter")
    assert page.inner_text("#heading").startswith("∂")


# Search


@needs_chromium
def test_search_finds_names_functions_and_modules_and_opens_what_hides_them(open_page: Open) -> None:
    _model, loss = blocks(3)
    page = open_page(loss)
    page.get_by_role("button", name="Close all modules").click()
    field = page.get_by_role("searchbox", name="Search the graph")
    found = page.locator("#graph .found")

    def search(text: str) -> str:
        field.fill(text)
        return count_of(page)

    assert search("TANH") == "1 of 3"
    assert found.locator("text").first.text_content().startswith("tanh")
    tops = []
    for key, said in (("Enter", "2 of 3"), ("Enter", "3 of 3"), ("Enter", "1 of 3"), ("Shift+Enter", "3 of 3")):
        field.press(key)
        assert count_of(page) == said
        assert found.count() == 1
        tops.append(found.get_attribute("id"))
    assert tops[1] == tops[3]
    assert len(set(tops)) == 3
    page.get_by_role("button", name="Next match").click()
    assert count_of(page) == "1 of 3"
    assert search("layers.1.second") == "1 of 3"  # the module, its weight and its bias
    assert found.locator("text").first.text_content() == "layers.1.second: Linear(4, 4)"
    field.press("Enter")
    assert found.locator("text").first.text_content() == "layers.1.second.weight"
    box, frame = found.bounding_box(), page.locator("#graph").bounding_box()
    assert frame["x"] <= box["x"] < box["x"] + box["width"] <= frame["x"] + frame["width"]
    assert transform(page)[2] >= 0.8
    assert search("nothing of this") == "none"
    assert found.count() == 0
    field.press("ArrowRight")
    field.press("End")
    assert page.inner_text("#where").startswith("Step 1 of ")
    field.press("Escape")
    assert field.input_value() == count_of(page) == ""


@needs_chromium
def test_names_are_texts_in_the_graph_and_in_the_search(open_page: Open) -> None:
    class Named(nn.Module):
        def forward(self, x: Any) -> Any:
            return np.sin(x)

        def __repr__(self) -> str:
            return f"Named({NAMES[0]})"

    model = Named()
    page = open_page(model(sum((ad.Tensor(1.0, name=name) for name in NAMES), start=ad.Tensor(0.0))))
    for name in NAMES:
        page.get_by_role("searchbox").fill(name.replace("\n", "\\n").replace("\u202e", "\\u202e"))
        assert count_of(page).startswith("1 of "), name
    assert page.evaluate("typeof hacked") == "undefined"
    assert page.locator("img").count() == 0
    assert toggle(page, f"Named({NAMES[0]})").count() == 1


# Large graphs


@needs_chromium
def test_5000_nodes_in_modules(open_page: Open) -> None:
    _model, loss = blocks(555)
    page = open_page(loss, width=390)
    page.get_by_role("searchbox").fill("layers")
    assert re.fullmatch(r"1 of \d,\d\d\d", count_of(page))
    last = page.get_by_role("button", name="Open all modules").bounding_box()
    assert last["x"] + last["width"] <= 390
    page.get_by_role("searchbox").press("Escape")
    page.get_by_role("button", name="Close all modules").click()
    toggle(page, "Sequential()").click()
    run = toggle(page, "× 554")
    assert page.locator("#graph .node[id]").count() < 20
    assert run.get_attribute("aria-label") == "Block() × 554, 4,986 nodes"
    run.click()
    parts = page.locator("#graph .closed")
    assert 5 < parts.count() < 40
    page.get_by_role("searchbox").fill("layers.400.second.bias")
    assert count_of(page) == "1 of 1"
    assert "layers.400.second.bias" in page.locator("#graph .found").text_content()
    page.get_by_role("button", name="Open all modules").click()
    # From afar, outlines; what is too far from view is not there.
    assert page.locator("#graph .closed").count() == 0
    assert page.locator("#graph .node[id]").count() < 1500
    page.keyboard.press("End")
    assert "current" in page.locator("#graph [aria-current]").get_attribute("class")


@needs_chromium
def test_a_large_graph_without_modules_is_outlined_from_afar_and_pressed_there(open_page: Open) -> None:
    page = open_page(neurons(10, 10, 1))
    outlines = page.locator("#graph path.node")
    assert outlines.count() >= 2
    page.get_by_role("searchbox").fill("relu")
    assert count_of(page) == "1 of 21"
    assert 1 < page.locator("#graph .node[id]").count() < 400
    assert outlines.count() == 0
    page.get_by_role("button", name="Fit").click()
    page.wait_for_function("document.querySelectorAll('#graph path.node').length > 0")
    box = page.locator("#graph .found").bounding_box()
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    page.get_by_role("searchbox").fill("")
    page.mouse.click(x, y)
    assert "relu" in page.inner_text("#step .about")


@needs_chromium
def test_paper_has_the_whole_graph(open_page: Open) -> None:
    output = neurons(10, 10, 1)
    page = open_page(output)
    page.emulate_media(media="print")
    page.evaluate("dispatchEvent(new Event('beforeprint'))")
    assert page.locator("#graph .node[id]").count() == len(nodes_of([output]))
    assert page.locator("#graph .bar").is_hidden()
    page.evaluate("dispatchEvent(new Event('afterprint'))")
    assert page.locator("#graph path.node").count() > 0


# The boxes of what is repeated


def boxes_in(output: ad.Tensor) -> dict[str, int]:
    """Give the titles of the boxes that are no modules, with the number of nodes in each."""
    nodes = nodes_of([output])
    boxes = with_runs(nodes, boxes_of(nodes))
    assert set(boxes) <= {node.key for node in nodes}
    return dict(Counter(box.title for inner in boxes.values() for box in inner.chain if not box.is_module))


def test_what_is_repeated_is_in_a_box() -> None:
    y = x = ad.Tensor(0.5, name="x")
    w = ad.Tensor(0.3, name="w")
    for k in range(30):
        y = np.tanh(w * y + w * float(k))
    found = boxes_in(y)
    title, size = max(found.items(), key=lambda one: one[1])
    assert re.fullmatch(r"(add|multiply|tanh), (add|multiply|tanh), (add|multiply|tanh) × 29", title)
    assert size > 29 * 4
    assert boxes_in(np.tanh(np.tanh(np.tanh(x)))) == {}


def test_what_is_side_by_side_is_in_a_box_and_very_many_are_in_parts() -> None:
    few = np.stack([ad.Tensor(1.0) * 2 for _ in range(30)]).sum()
    assert boxes_in(few) == {"multiply × 30": 90}
    many = boxes_in(np.stack([ad.Tensor(1.0) for _ in range(1000)]).sum())
    assert many.pop("input × 1,000") == 1000
    assert sum(many.values()) == 1000
    assert max(many.values()) < 40


def test_the_middle_of_a_long_chain_is_in_a_box() -> None:
    rng = np.random.default_rng(0)
    y = ad.Tensor(1.0, name="x")
    for k in rng.integers(0, 4, 600):
        y = (np.tanh, np.sin, np.cos, np.negative)[k](y)
    found = boxes_in(y)
    assert any(title.endswith("in a chain") for title in found)
    assert max(found.values()) > 500


def test_boxes_of_runs_can_be_computed_before_what_uses_them() -> None:
    _model, loss = blocks(40)
    nodes = nodes_of([loss])
    boxes = with_runs(nodes, boxes_of(nodes))
    for level in range(4):
        place = {
            node.key: (boxes[node.key].chain[level : level + 1] or (node.key,))[0] if node.key in boxes else node.key
            for node in nodes
        }
        users: dict[Any, set[Any]] = {}
        for node in nodes:
            for operand in node.operands:
                if place[operand] is not place[node.key]:
                    users.setdefault(place[operand], set()).add(place[node.key])
        waiting = Counter(to for of in users.values() for to in of)
        ready = [one for one in set(place.values()) if not waiting[one]]
        done = 0
        while ready:
            done += 1
            for to in users.get(ready.pop(), ()):
                waiting[to] -= 1
                if not waiting[to]:
                    ready.append(to)
        assert done == len(set(place.values()))


# The option


def test_limit(tmp_path: Path) -> None:
    network = neurons(16, 16, 1)
    assert ad.draw(network).source.count("id=node_") < 260
    whole = ad.draw(network, limit=None)
    assert whole.source.count("id=node_") == whole.nodes == len(nodes_of([network]))
    assert "too many" not in whole.source
    assert ad.draw(network, limit=whole.nodes).source == whole.source
    assert "too many" in ad.draw(network, limit=whole.nodes - 1).source
    assert ad.draw(network, limit=40).source.count("id=node_") <= 40
    page = ad.draw(network, limit=40).save(tmp_path / "page.html").read_text("utf-8")
    data = json.loads(re.search(r'<script id="data" type="application/json">(.*?)</script>', page, re.DOTALL)[1])
    assert len(data["nodes"]) == whole.nodes
    for bad in (0, -1, True, 2.5, "all", [3], float("inf")):
        with pytest.raises(
            ValueError, match=r"draw: limit must be a number of nodes, 1 or more, or None to draw all, got"
        ):
            ad.draw(network, limit=bad)
