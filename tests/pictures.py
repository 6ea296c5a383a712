"""What the tests of pictures share: finding things in the source and in the image of a drawing."""

import importlib.util
import re
import shutil
import xml.etree.ElementTree as ElementTree

import pytest

from autodiff.drawing import Drawing

needs_graphviz = pytest.mark.skipif(
    not (shutil.which("dot") or importlib.util.find_spec("pygraphviz")),
    reason="neither dot nor pygraphviz is installed",
)


def lines_of(drawing: Drawing, title: str) -> str:
    """The line of the source that defines the one node with a title."""
    found = [line for line in drawing.source.splitlines() if f"<b>{title}</b>" in line]
    assert len(found) == 1, found
    return found[0]


def texts(drawing: Drawing, title: str) -> list[str]:
    """All that stands in the node with a title."""
    return re.findall(r">([^<>]+)<", lines_of(drawing, title))


def shown_in(svg: str) -> list[str]:
    return ["".join(text.itertext()) for text in ElementTree.fromstring(svg).iter("{http://www.w3.org/2000/svg}text")]
