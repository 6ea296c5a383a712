"""From Graphviz source to an image, with the Graphviz that is installed or the one that pygraphviz brings along."""

from __future__ import annotations

import importlib.util
import re
import shutil
import subprocess
import sys

from autodiff.drawing import clearing
from autodiff.extras import install

SECONDS = 60.0

_FORMULA = re.compile(r'<g id="edge_.*?</g>', re.DOTALL)
_RUN = re.compile(r'<text ([^>]*text-anchor="start"[^>]*)>([^<]*)</text>\n')


def render(source: str, form: str) -> bytes:
    """Lay out a graph and give it as an image.

    Args:
        source: the graph in the DOT language.
        form: as Graphviz calls it: "svg", "png", "pdf", or "json0" for the places of everything.

    Raises:
        RuntimeError: there is no Graphviz, or none that accepts the graph.
        TimeoutError: Graphviz had not finished after ``SECONDS``.
    """
    ways = []
    if dot := shutil.which("dot"):
        ways.append([[dot, "-Tdot"], [dot, "-Knop2", f"-T{form}"]])
    # pygraphviz runs in a process of its own: its Graphviz and Fontconfig write straight to the console, do not take
    # several threads, cannot be stopped, and would take the user's process with them if they crashed.
    if importlib.util.find_spec("pygraphviz"):
        ways.append([[sys.executable, "-P", clearing.__file__, form]])
    if not ways:
        raise RuntimeError(f"drawing as {form} needs Graphviz, which is not installed: {install('draw')}")
    for way in ways:
        content = source.encode()
        for command in way:
            content = content if command is way[0] else clearing.cleared(content.decode()).encode()
            try:
                done = subprocess.run(command, input=content, capture_output=True, timeout=SECONDS)
            except subprocess.TimeoutExpired:
                raise TimeoutError(f"Graphviz had not laid out the graph after {SECONDS:g} seconds") from None
            content = done.stdout
            if done.returncode != 0 or not content:
                break
        else:
            return _FORMULA.sub(_joined, content.decode()).encode() if form == "svg" else content
    complaint = done.stderr.decode(errors="replace").strip() or f"it ended with status {done.returncode}"
    raise RuntimeError(f"Graphviz could not draw the {form}: {complaint}")


def _joined(line: re.Match[str]) -> str:
    """Make one text of the pieces of a formula, which follow each other with whatever letters a browser has."""
    runs = _RUN.findall(line[0])
    if len(runs) < 2:
        return line[0]
    pieces = "".join(
        f'<tspan font-style="{"italic" if "italic" in look else "normal"}">{text}</tspan>' for look, text in runs
    )
    rest = _RUN.sub("", line[0]).removesuffix("</g>")
    return f"{rest}<text {runs[0][0]}>{pieces}</text>\n</g>"
