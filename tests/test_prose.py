"""Chapters in a terminal: formulas in Unicode, prose in lines, and how the cells are run."""

from __future__ import annotations

import importlib
import os
import subprocess
import sys
import traceback
from pathlib import Path

import pytest

from demos import chapter
from demos.prose import formula, plain


@pytest.mark.parametrize(
    ("tex", "text"),
    [
        (r"w \leftarrow w - \eta \frac{\partial E}{\partial w}", "w ← w - η ∂E/∂w"),
        (r"\eta=\frac{2}{\lambda_{\min}+\lambda_{\max}}", "η = 2/(λₘᵢₙ + λₘₐₓ)"),
        (r"-\frac{2}{n} X^\top r,\ 2-1, (-x), a=-b", "-2/n Xᵀ r, 2 - 1, (-x), a = -b"),
        (r"\frac{a+b}{2\sigma^2}", "(a + b)/(2σ²)"),
        (r"\frac12(y-x)^2", "1/2 (y - x)²"),
        (r"\frac{1}{N}\sum_{i=1}^n r_i^2", "1/N Σᵢ₌₁ⁿ rᵢ²"),
        (r"\int_{-1}^1 f(x)\,dx = 2\,\mathrm{E}[f(x)]", "∫₋₁¹ f(x) dx = 2 E[f(x)]"),
        (r"-\log p(y)=\frac{n}{2}\log\det K", "-log p(y) = n/2 log det K"),
        (r"\exp\left(-\frac{(x-\mu)^2}{2}\right) \sqrt{2\pi}, \sqrt n", "exp(-(x - μ)²/2) √(2π), √n"),
        (r"\log\frac{p}{1-p}, \frac{P(x, y)}{P(x)}, s = \pm 1", "log(p/(1 - p)), P(x, y)/P(x), s = ±1"),
        (r"e^{-x^2}, W_{\text{old}}, p_\theta, f'(z), \theta^*", "e^(-x²), W_old, p_θ, f'(z), θ*"),
        (r"\hat y = \arg\max_k z_k,\quad \bar x", "y\u0302 = arg maxₖ zₖ,    x\u0304"),
        (r"\mathrm{P}(y\mid x)\in[0,1]", "P(y | x) ∈ [0,1]"),
    ],
)
def test_formulas(tex: str, text: str) -> None:
    assert formula(tex).replace("\u00a0", " ") == text


@pytest.mark.parametrize(
    ("tex", "why"),
    [
        (r"\relu(x)", r"has the command \\relu, which is not known here: \\relu\(x\)"),
        (r"\begin{array}{l} x \end{array}", "has the environment array"),
        (r"\begin{aligned} x \end{array}", "does not end its aligned"),
        (r"\begin{aligned} x", "does not end its aligned"),
        ("{a", "has brackets that do not match: {a"),
        ("a}", "has brackets that do not match"),
        (r"\frac{1}", "ends where something is missing"),
        ("x_", "ends where something is missing"),
        (r"\text x", "has a command without its group"),
    ],
)
def test_formulas_that_are_not_understood(tex: str, why: str) -> None:
    with pytest.raises(ValueError, match=why):
        formula(tex)


MARKDOWN = r"""# The title

A paragraph with *stress*, **more of it**, `code_1` and $x_1 + x_2$, which is
wrapped:

$$\begin{aligned}
z &= X W \\
\sigma(z) &= \frac{1}{1 + e^{-z}} && \text{which is between 0 and 1, and is never either}
\end{aligned}$$

- one
- another one, which takes more than a line to say, I think

    python -m demos
"""
PLAIN = """\
The title
=========

A paragraph with stress, more of it, `code_1` and
x₁ + x₂, which is wrapped:

    z    = X W
    σ(z) = 1/(1 + e⁻ᶻ)    which is between 0 and 1,
                          and is never either

- one
- another one, which takes more than a line to say,
  I think

    python -m demos"""


def test_markdown() -> None:
    assert plain(MARKDOWN, 52) == PLAIN


CHAPTER = """\
# %% [markdown]
# # A chapter: of two cells
#
# It begins.

# %%
from __future__ import annotations

from demos import chapter

options = chapter.begin("small", chapter.flag("--size", chapter.positive, default=2, help="of it"))

# %% [markdown]
# It defines something.

# %%
def twice(x: Undefined) -> Undefined:
    return 2 * x

# %% [markdown]
# It prints $2^2$.

# %%
SIZE = options.size
print(twice(SIZE))
print(__name__, twice.__annotations__["x"])

# %% [markdown]
# The end.
"""


@pytest.fixture
def small(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = tmp_path / "small.py"
    path.write_text(CHAPTER, "utf-8")
    monkeypatch.setattr(chapter, "FOLDER", tmp_path)
    return path


def test_prose_stands_before_what_its_code_prints(small: Path, capsys: pytest.CaptureFixture[str]) -> None:
    main = sys.modules["__main__"]
    names = chapter.run("small", ["--size", "3", "--output", str(small.parent)])
    title = "A chapter: of two cells\n=======================\n\nIt begins.\n\nIt defines something.\n\n"
    assert capsys.readouterr().out == title + "It prints 2².\n\n6\n__main__ Undefined\n\nThe end.\n\n"
    assert names["SIZE"] == 3
    assert sys.modules["__main__"] is main


def test_another_constant(small: Path, capsys: pytest.CaptureFixture[str]) -> None:
    flags = ["--output", str(small.parent)]
    assert chapter.run("small", flags, {"SIZE = options.size": "SIZE = 5"})["SIZE"] == 5
    with pytest.raises(ValueError, match=r"the chapter has 0 times what is to be changed: SIZE = 7"):
        chapter.run("small", flags, {"SIZE = 7": "SIZE = 5"})


def test_an_error_has_its_file_and_line_and_leaves_nothing(small: Path) -> None:
    with pytest.raises(TypeError) as caught:
        chapter.run("small", ["--output", str(small.parent)], {"print(twice(SIZE))": "print(twice(None))"})
    frames = traceback.extract_tb(caught.value.__traceback__)
    assert [(frame.filename, frame.lineno) for frame in frames[-2:]] == [(str(small), 25), (str(small), 18)]
    with pytest.raises(ValueError, match="no such thing"):
        chapter.refuse("no such thing")  # as in a notebook: no chapter runs


def test_a_chapter_is_not_imported() -> None:
    with pytest.raises(ImportError, match=r"a chapter is run, not imported: python -m demos\.activations, or"):
        importlib.import_module("demos.activations")


def test_a_terminal_is_as_wide_as_it_says(tmp_path: Path) -> None:
    for columns, widest in ((60, 60), (200, 100)):
        done = subprocess.run(
            [sys.executable, "-c", "from demos import prose, chapter; r = chapter.Run([]); "
             "r.parser = chapter.Parser('digits'); r.waiting = ['word ' * 99]; r.print_prose()"],
            env={**os.environ, "COLUMNS": str(columns)}, cwd=Path(__file__).parent.parent, capture_output=True,
            text=True, check=True,
        )  # fmt: skip
        assert widest - 5 <= max(map(len, done.stdout.splitlines())) <= widest
