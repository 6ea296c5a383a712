"""From Graphviz source to an image, with the Graphviz that is installed or the one that pygraphviz brings along."""

from __future__ import annotations

import importlib.util
import shutil
import subprocess
import sys

from autodiff.extras import install

SECONDS = 60.0

# pygraphviz runs in a process of its own: its Graphviz and Fontconfig write straight to the console, do not take
# several threads, cannot be stopped, and would take the user's process with them if they crashed.
_PYGRAPHVIZ = """
import sys, pygraphviz
graph = pygraphviz.AGraph(string=sys.stdin.buffer.read().decode())
sys.stdout.buffer.write(graph.draw(format=sys.argv[1], prog="dot"))
"""


def render(source: str, form: str) -> bytes:
    """Lay out a graph and give it as an image.

    Args:
        source: the graph in the DOT language.
        form: "svg", "png" or "pdf".

    Raises:
        RuntimeError: there is no Graphviz, or none that accepts the graph.
        TimeoutError: Graphviz had not finished after ``SECONDS``.
    """
    commands = []
    if dot := shutil.which("dot"):
        commands.append([dot, f"-T{form}"])
    if importlib.util.find_spec("pygraphviz"):
        commands.append([sys.executable, "-P", "-c", _PYGRAPHVIZ, form])
    if not commands:
        raise RuntimeError(f"drawing a {form} needs Graphviz, which is not installed: {install('draw')}")
    for command in commands:
        try:
            done = subprocess.run(command, input=source.encode(), capture_output=True, timeout=SECONDS)
        except subprocess.TimeoutExpired:
            raise TimeoutError(f"Graphviz had not laid out the graph after {SECONDS:g} seconds") from None
        if done.returncode == 0 and done.stdout:
            return done.stdout
    complaint = done.stderr.decode(errors="replace").strip() or f"it ended with status {done.returncode}"
    raise RuntimeError(f"Graphviz could not draw the {form}: {complaint}")
