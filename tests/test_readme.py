"""The pages of the project: their links lead somewhere, and README.md has the commands that `.ci/run` takes from it."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PAGES = ["README.md", "autodiff/README.md", ".github/CONTRIBUTING.md", "tests/benchmarks/README.md"]


def anchors(page: Path) -> set[str]:
    """Give the anchor of each heading as GitHub makes it: in small letters, hyphens for spaces, without other signs."""
    text = re.sub(r"^```.*?^```$", "", page.read_text(), flags=re.MULTILINE | re.DOTALL)
    headings = re.findall(r"^#+ (.+)$", text, flags=re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("name", PAGES)
def test_every_link_leads_somewhere(name: str) -> None:
    page = ROOT / name
    links = [link for link in re.findall(r"\]\(([^)\s]+)\)", page.read_text()) if "://" not in link]
    assert links
    for link in links:
        path, _, anchor = link.partition("#")
        target = page.parent / path if path else page
        assert target.is_file(), f"{name}: {link} is no file"
        assert not anchor or anchor in anchors(target), f"{name}: {link} is no heading"


def test_readme_begins_with_two_commands_of_a_line_each() -> None:
    blocks = re.findall(r"^```sh\n(.*?)^```$", (ROOT / "README.md").read_text(), flags=re.MULTILINE | re.DOTALL)
    assert [block.count("\n") for block in blocks[:2]] == [1, 1]
    assert blocks[0].endswith("-m demos.digits\n")
    assert blocks[1].endswith("pytest\n")
