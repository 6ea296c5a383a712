"""``python -m demos`` lists the chapters: for each the first line of its docstring, read without running it."""

import ast
from pathlib import Path

HELPERS = {"__init__", "__main__", "chapter"}


def main() -> None:
    """Print one line a chapter."""
    files = [path for path in sorted(Path(__file__).parent.glob("*.py")) if path.stem not in HELPERS]
    width = max(len(path.stem) for path in files)
    for path in files:
        title = (ast.get_docstring(ast.parse(path.read_bytes())) or "").split("\n")[0]
        print(f"python -m demos.{path.stem:{width}}  {title}")


if __name__ == "__main__":
    main()
