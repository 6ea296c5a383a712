"""What the chapters share: their flags, and saving what they draw."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

from matplotlib.figure import Figure
from PIL import Image

import autodiff as ad

# Okabe and Ito's colours, which colour-blind readers tell apart.
BLUE, ORANGE, GREEN, PURPLE, GREY = "#0072B2", "#D55E00", "#009E73", "#CC79A7", "#666666"


class Parser(argparse.ArgumentParser):
    """The flags of a chapter, ``--seed`` and ``--output``; it says what is wrong in one line."""

    def __init__(self, name: str, doc: str | None) -> None:
        super().__init__(prog=f"python -m demos.{name}", description=(doc or "").split("\n")[0])
        folder = Path(__file__).parent / "output"
        add = self.add_argument
        add("--seed", type=natural, default=0, metavar="N", help="of all that is random (default: 0)")
        add("--output", type=Path, default=folder, metavar="FOLDER", help="for what it writes (default: demos/output)")

    def parse(self, arguments: Sequence[str] | None) -> argparse.Namespace:
        """Read the flags, and make the folder that the chapter writes to."""
        options = self.parse_args(arguments)
        try:
            options.output.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            self.error(f"argument --output: cannot write to {options.output}: {error.strerror}")
        return options

    def error(self, message: str) -> NoReturn:
        """Exit with code 2."""
        self.exit(2, f"{self.prog}: {message} (see --help)\n")


def natural(text: str) -> int:
    """Read an integer from 0 to 2³² - 1, as scikit-learn takes for a seed."""
    if not text.isascii() or not text.isdigit() or int(text) >= 2**32:
        raise argparse.ArgumentTypeError(f"must be an integer from 0 to 2**32 - 1, got {text!r}")
    return int(text)


def positive(text: str) -> int:
    """Read a positive integer."""
    if not text.isascii() or not text.isdigit() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"must be a positive integer, got {text!r}")
    return int(text)


def save(picture: Figure | ad.Drawing, output: Path, name: str) -> Path:
    """Write a picture into a folder, say so, and give its path."""
    path = output / name
    try:
        if isinstance(picture, Figure):
            picture.savefig(path, dpi=100)
        else:
            picture.save(path)
        if path.suffix == ".png":  # smaller, and with a palette: a third of the bytes
            image = Image.open(path).convert("RGB")
            image.thumbnail((800, 1200))
            image.quantize(128, kmeans=1).save(path)  # else the lines of a curve lose their color beside a photograph
    except OSError as error:
        print(f"argument --output: {error}", file=sys.stderr)
        raise SystemExit(2) from None
    print(f"wrote {path}")
    return path
