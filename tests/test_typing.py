"""Types help a user: what checkers make of the file of user code beside this one."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

USER = Path(__file__).parent / "typed" / "user.py"
LINES = USER.read_text().splitlines()
REVEALED = {number: line.split("  # ")[1] for number, line in enumerate(LINES, 1) if line.strip().startswith("reveal")}
WRONG = {number for number, line in enumerate(LINES, 1) if line.endswith("  # error")}


def short(text: str) -> str:
    """Leave out modules and builtins, and write types as a reader does."""
    text = re.sub(r"\bdef ", "", re.sub(r"[\w.]+\.(?=\w)", "", text))
    return text.replace("builtins.", "")


def test_mypy(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "mypy", "--strict", "--no-error-summary", f"--cache-dir={tmp_path}", str(USER)]
    output = subprocess.run(command, capture_output=True, text=True, cwd=USER.parents[2]).stdout
    notes = dict(re.findall(r'user\.py:(\d+): note: Revealed type is "(.*)"', output))
    types = {int(number): short(text) for number, text in notes.items()}
    expected = {number: text for number, text in REVEALED.items() if "->" not in text}
    assert {number: types[number] for number in expected} == expected
    assert {int(number) for number in re.findall(r"user\.py:(\d+): error", output)} == WRONG


def test_pyright() -> None:
    pytest.importorskip("basedpyright")
    command = [sys.executable, "-m", "basedpyright", "--outputjson", str(USER)]
    output = subprocess.run(command, capture_output=True, text=True, cwd=USER.parents[2]).stdout
    found = json.loads(output)["generalDiagnostics"]
    lines = {(one["severity"], one["range"]["start"]["line"] + 1): one["message"] for one in found}
    types = {number: message for (severity, number), message in lines.items() if severity == "information"}
    actual = {number: re.sub(r'^Type of ".*" is "(.*)"$', r"\1", types[number], flags=re.S) for number in REVEALED}
    assert actual == REVEALED
    assert {number for severity, number in lines if severity == "error"} == WRONG
