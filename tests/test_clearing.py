"""Titles, formulas and numbers of arguments in pictures: no line crosses them, and none lies on another."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import autodiff as ad
import nn
from autodiff.drawing import draw
from autodiff.drawing.clearing import cleared
from tests.pictures import needs_graphviz, shown_in
from tests.test_page import browser, needs_chromium

__all__ = ["browser"]

# In each picture: what of its texts beside nodes lies on another text, or on a line.
CROSSED = """
() => {
  const found = [];
  const spans = [...document.querySelectorAll("text")].map((text) => {
    const { top, bottom } = text.getBoundingClientRect();
    const all = text.textContent;
    const at = text.getScreenCTM();
    const start = text.getStartPositionOfChar(all.length - all.trimStart().length);
    const end = text.getEndPositionOfChar(all.trimEnd().length - 1);
    const [left, right] = [start, end].map((point) => point.x * at.a + at.e);
    const group = text.closest("g.node,g.edge,g.cluster,g.graph");
    return { left, right, top: top + 2, bottom: bottom - 2, said: all.trim(), group };
  });
  const beside = spans.filter(({ group }) => group.matches(".edge,.cluster"));
  for (const one of beside) {
    for (const other of spans) {
      const across = one.left < other.right && other.left < one.right;
      const up = one.top < other.bottom && other.top < one.bottom;
      if (one !== other && across && up) found.push(`${one.said} on ${other.said}`);
    }
  }
  for (const line of document.querySelectorAll("g.edge path")) {
    const at = line.getScreenCTM();
    for (let far = 0; far < line.getTotalLength(); far += 1) {
      const point = line.getPointAtLength(far);
      const [x, y] = [point.x * at.a + at.e, point.y * at.d + at.f];
      for (const { left, right, top, bottom, said } of beside) {
        if (left < x && x < right && top < y && y < bottom) found.push(`a line crosses ${said}`);
      }
    }
  }
  return [spans.length, [...new Set(found)]];
}
"""


def of_many() -> ad.Tensor:
    x = ad.Tensor(np.ones(3), name="x")
    several = np.concatenate([np.sin(x), np.cos(x), np.exp(x), x, x * 2, np.tanh(x)])
    return np.stack([ad.Tensor(float(k), name=f"x{k}") for k in range(7)]).sum() * several.max()


def of_modules() -> tuple[nn.Module, ad.Tensor]:
    class Block(nn.Module):
        def __init__(self) -> None:
            self.a, self.b = nn.Linear(4, 4, rng=0), nn.Linear(4, 4, rng=1)

        def forward(self, x: Any) -> Any:
            return x + self.b(np.tanh(self.a(x)))

    model = nn.Sequential(Block(), Block())
    return model, model(ad.Tensor(np.ones((3, 4), np.float32), name="x")).sum()


@needs_chromium
@needs_graphviz
def test_nothing_lies_on_anything(browser: Any) -> None:
    x, w = ad.Tensor(0.5, name="x"), ad.Tensor(2.0, name="w")
    model, out = of_modules()
    pictures = [
        (draw((np.tanh(x * w + 1) ** 2 - 1) * x**2 / w**3, formulas=True), 40),
        (draw(of_many()), 40),
        (draw(of_many(), formulas=True), 60),
        (draw(out), 60),
    ]
    page = browser.new_page()
    for picture, fewest in pictures:
        page.set_content(picture._repr_svg_())
        count, crossed = page.evaluate(CROSSED)
        assert count > fewest
        assert crossed == []
    page.close()
    del model


LAID_OUT = """digraph {
	graph [bb="0,0,200,200"];
	node [height=0.5, width=0.5];
	subgraph cluster_a {
		graph [bb="10,10,190,150", label="a, \\"title\\" [of] {this}", lheight=0.2, lp="60,140", lwidth=1];
		a	[label=<<b>lp="1,1"; ]&lt;</b>>, pos="40,40"];
	}
	b	[pos="40,180", peripheries=2, width=0.61];
	b -> a	[headlabel=1, head_lp="40,60", pos="e,40,58 40,162 40,140 40,90 40,68"];
}
"""


def test_what_a_line_crosses_is_moved_and_all_else_stays() -> None:
    moved = cleared(LAID_OUT)
    changed = [(old, new) for old, new in zip(LAID_OUT.splitlines(), moved.splitlines(), strict=True) if old != new]
    assert [new.split()[0] for _, new in changed] == ["graph", "b", "b"]
    title, node, line = (new for _, new in changed)
    assert 'lp="80' in title  # right of the line, at 42 or more, with half of its width
    assert "width=0.49889" in node
    assert 'head_lp="4' in line or 'head_lp="3' in line


@needs_graphviz
def test_names_do_not_end_what_is_read() -> None:
    names = ['"]; n0 [lp="0,0"]', "<[", "]>", 'a" -> "b', "{;}", "\\"]
    total = sum((ad.Tensor(1.0, name=name) for name in names), start=ad.Tensor(0.0))
    shown = shown_in(draw(total, formulas=True)._repr_svg_())
    assert set(names) <= set(shown)


@pytest.mark.parametrize("text", ["", "digraph {}", "digraph { a [label=<", 'digraph { a -> b [pos="e'])
def test_what_is_not_understood_stays(text: str) -> None:
    assert cleared(text) == text
