"""The prose of a chapter in a terminal: Markdown as plain lines, and its formulas, written in LaTeX, in Unicode."""

from __future__ import annotations

import itertools
import re
import textwrap
import unicodedata

# Gaps: between columns, and, where letters would touch, after names of functions and after what keeps off a bracket too
GAP, NARROW, WIDE = "\ue000", "\ue001", "\ue002"


def pairs(text: str) -> dict[str, str]:
    """Read names of commands, each with its sign behind it."""
    words = text.split()
    return dict(zip(words[::2], words[1::2]))


SYMBOLS = pairs(
    "alpha α beta β gamma γ delta δ epsilon ε varepsilon ε zeta ζ eta η theta θ kappa κ lambda λ mu μ nu ν xi ξ pi π "
    "rho ρ sigma σ tau τ phi φ varphi φ chi χ psi ψ omega ω Gamma Γ Delta Δ Theta Θ Lambda Λ Pi Π Sigma Σ Phi Φ "
    "Omega Ω partial ∂ nabla ∇ infty ∞ ell ℓ top ᵀ dots … ldots … cdots … lvert | rvert | lVert ‖ rVert ‖ langle ⟨ "
    f"rangle ⟩ prime ' forall ∀ exists ∃ emptyset ∅ quad {GAP} qquad {GAP}{GAP}"
)
BINARY = pairs(
    "approx ≈ le ≤ leq ≤ ge ≥ geq ≥ ne ≠ neq ≠ ll ≪ gg ≫ equiv ≡ sim ~ propto ∝ in ∈ leftarrow ← rightarrow → to → "
    "mapsto ↦ Rightarrow ⇒ iff ⇔ cdot · times × odot ⊙ pm ± mid | cup ∪ cap ∩ ast * circ ∘ setminus ∖ "
    "= = < < > > + + - -"
)
SIGN = rf"(^|[(\[{{,&\n{GAP}|{''.join(BINARY.values())}])[ {WIDE}]*$"  # what stands before a sign of a number
NAMES = (
    "exp", "log", "ln", "sin", "cos", "tan", "sinh", "cosh", "tanh", "erf", "max", "min", "sup", "lim", "arg", "argmin",
    "argmax", "det", "tr", "diag", "sign", "Var", "Cov", "Pr",
)  # fmt: skip
BIG = {"sum": "Σ", "prod": "Π", "int": "∫"}
ACCENTS = {"hat": "\u0302", "bar": "\u0304", "tilde": "\u0303", "dot": "\u0307", "widehat": "\u0302"}
DROPPED = {"left", "right", "big", "Big", "bigl", "bigr", "Bigl", "Bigr", "bigg", "displaystyle", "limits"}
SPACES = {",": " ", ";": " ", ":": " ", " ": " ", "!": "", "\\": "\n", "{": "{", "}": "}", "|": "‖", "%": "%"}
SUPERSCRIPTS = dict(zip("0123456789+-=()", "⁰¹²³⁴⁵⁶⁷⁸⁹⁺⁻⁼⁽⁾")) | dict(
    zip("abcdefghijklmnoprstuvwxyzβγδθφχTABDEGHIJKLMNOPRUVW'*", "ᵃᵇᶜᵈᵉᶠᵍʰⁱʲᵏˡᵐⁿᵒᵖʳˢᵗᵘᵛʷˣʸᶻᵝᵞᵟᶿᵠᵡᵀᴬᴮᴰᴱᴳᴴᴵᴶᴷᴸᴹᴺᴼᴾᴿᵁⱽᵂ'*")
)
SUPERSCRIPTS |= {"ᵀ": "ᵀ", "…": "…"}
SUBSCRIPTS = dict(zip("0123456789+-=()aehijklmnoprstuvxβγρφχℓ,", "₀₁₂₃₄₅₆₇₈₉₊₋₌₍₎ₐₑₕᵢⱼₖₗₘₙₒₚᵣₛₜᵤᵥₓᵦᵧᵨᵩᵪₗ,"))
RAISED_OR_LOWERED = set(SUPERSCRIPTS.values()) | set(SUBSCRIPTS.values()) | {"'"}


def plain(markdown: str, width: int) -> str:
    """Give a Markdown cell as lines of at most ``width`` characters.

    Raises:
        ValueError: a formula has a command that is not known here, or a bracket too many or too few.
    """
    blocks = re.split(r"\n\s*\n", re.sub(r"\$\$(.*?)\$\$", r"\n\n$$\1$$\n\n", markdown.strip(), flags=re.DOTALL))
    shown = "\n\n".join(block_of(block.strip("\n"), width) for block in blocks if block.strip())
    return shown.replace("\u00a0", " ")


def block_of(text: str, width: int) -> str:
    """Give a paragraph, a formula, a heading or a list."""
    if text.startswith("$$"):
        return display(text.strip("$"), width)
    if heading := re.match(r"(#+) (.*)", text):
        lines = textwrap.wrap(inline(heading[2]), width)
        return "\n".join([*lines, ("=" if heading[1] == "#" else "-") * max(map(len, lines))])
    if text.startswith("- "):
        return "\n".join(wrapped(inline(item), width, "  ") for item in re.split(r"\n(?=- )", text))
    return wrapped(inline(text), width, "")


def wrapped(text: str, width: int, indent: str) -> str:
    """Break lines at spaces, but not within short formulas, whose spaces are of another kind."""
    lines = textwrap.wrap(text, width, subsequent_indent=indent, break_long_words=False, break_on_hyphens=False)
    return "\n".join(lines)


def columns(rows: list[list[str]], width: int) -> list[str]:
    """Pad the cells of rows to the width of their columns, and break the last one at the width of all."""
    sizes = [max(map(length, column)) or 2 for column in itertools.zip_longest(*rows, fillvalue="")]
    lines = []
    for row in rows:
        *firsts, last = row
        before = "".join(cell + " " * (size - length(cell) + 1) for cell, size in zip(firsts, sizes))
        lines.append(before + wrapped(last, max(width - len(before), 20), "").replace("\n", "\n" + " " * len(before)))
    return lines


def length(text: str) -> int:
    """Count characters as they are seen: an accent has no width."""
    return sum(not unicodedata.combining(character) for character in text)


def inline(text: str) -> str:
    """Give running text without its marks."""

    def replaced(found: re.Match[str]) -> str:
        tex, strong = found.groups()
        if tex is not None:
            shown = formula(tex)
            return shown.replace(" ", "\u00a0") if len(shown) <= 24 else shown
        return strong or found[0]  # code keeps its marks

    marks = r"`[^`]+`|\$([^$]+)\$|\*{1,2}(?=\S)([^*]+?)\*{1,2}"
    return " ".join(re.sub(marks, replaced, " ".join(text.split("\n"))).split(" "))


def display(tex: str, width: int) -> str:
    """Give a formula that stands by itself, in lines and columns where it has them."""
    rows = [[cell.strip() for cell in row.split("&")] for row in formula(tex).split("\n") if row.strip()]
    return textwrap.indent("\n".join(columns(rows, width - 4)), "    ")


def formula(tex: str) -> str:
    r"""Give a formula in Unicode; ``\\`` begins a line of it.

    Raises:
        ValueError: it has a command that is not known here, or a bracket too many or too few.

    >>> formula(r"\frac{\partial E}{\partial w} = -\frac{2}{n} X^\top r, \sum_{i=1}^n r_i^2")
    '∂E/∂w = -2/n Xᵀ r, Σᵢ₌₁ⁿ rᵢ²'
    """
    reader = Reader(tex)
    text = reader.sequence(None)
    text = re.sub(rf"(?<=[^\s(\[{{,&√{WIDE}{NARROW}-]){NARROW}+(?=[^\s()\[\]{{}},.;:!^_|&{WIDE}{NARROW}/'])", " ", text)
    text = re.sub(rf"(?<=[^\s(\[{{,&]){WIDE}+{NARROW}*(?=[^\s)\]}},.;:&/])", " ", text)
    text = re.sub(f"[{NARROW}{WIDE}]", "", text)
    text = re.sub(r" *\n *", "\n", re.sub(r" {2,}", " ", text)).strip()
    return re.sub(f" ?{GAP} ?", "\u00a0\u00a0\u00a0 ", text)


class Reader:
    """Reads a formula from left to right."""

    def __init__(self, tex: str) -> None:
        self.tex = tex
        self.tokens = re.findall(r"\\[A-Za-z]+\*?|\\.|\s+|.", tex.strip(), re.DOTALL)
        self.at = 0

    def fail(self, why: str) -> ValueError:
        """Give the error, with the formula."""
        return ValueError(f"a formula {why}: {self.tex.strip()}")

    def sequence(self, end: str | None) -> str:
        """Read up to a closing token, which is read too."""
        text = ""
        while self.at < len(self.tokens):
            token = self.tokens[self.at]
            if token == end:
                self.at += 1
                return text
            if token in ("}", r"\end"):
                break
            text += self.item(text)
        if self.at < len(self.tokens) or end is not None:
            raise self.fail("has brackets that do not match")
        return text

    def argument(self) -> str:
        """Read what a command stands before: a group, or one token."""
        self.skip()
        if self.at == len(self.tokens):
            raise self.fail("ends where something is missing")
        if self.tokens[self.at] == "{":
            self.at += 1
            return clean(self.sequence("}"))
        return clean(self.item("", scripts=False))

    def raw(self) -> str:
        """Read a group as it is written."""
        self.skip()
        first = self.at + 1
        if self.tokens[self.at : first] != ["{"] or "}" not in self.tokens[first:]:
            raise self.fail("has a command without its group")
        self.at = self.tokens.index("}", first) + 1
        return "".join(self.tokens[first : self.at - 1])

    def skip(self) -> None:
        """Pass over spaces."""
        while self.at < len(self.tokens) and self.tokens[self.at].isspace():
            self.at += 1

    def item(self, before: str, scripts: bool = True) -> str:
        """Read the next token and what belongs to it."""
        token = self.tokens[self.at]
        self.at += 1
        command = token[1:] if token.startswith("\\") else None
        if (command or token) in BINARY and not (command is None and len(token) > 1):
            sign = BINARY[command or token]
            if sign in "+-±" and re.search(SIGN, before):
                self.skip()
                return sign
            return f" {sign} "
        if token == "{":
            text = self.sequence("}")
        elif token in "^_":
            self.at -= 1
            return self.scripts()
        elif token.isspace() or token == "~":
            return " "
        elif command is None:
            text = token
        else:
            text = self.command(command)
            if command.endswith("frac") and re.search(rf"[a-z]{NARROW} *$", before):
                text = f"({clean(text)})"  # the logarithm of a fraction is no fraction
        if not scripts:
            return text
        text += self.scripts()
        if command in BIG:
            return NARROW + text + WIDE
        return NARROW + text + NARROW if command in NAMES else text

    def command(self, name: str) -> str:
        """Read the arguments of a command, and give what it means."""
        if name in ("partial", "nabla", *DROPPED, "\\"):
            self.skip()
        if name in SYMBOLS:
            return SYMBOLS[name]
        if name in BIG:
            return BIG[name]
        if name in NAMES:
            return name
        if name == "text":
            return self.raw()
        if name == "mathrm":
            return self.argument()
        if name in ACCENTS:
            return self.argument() + ACCENTS[name]
        if name in ("frac", "tfrac", "dfrac"):
            return over(self.argument(), self.argument())
        if name == "sqrt":
            return "√" + bracketed(self.argument())
        if name == "begin":
            return self.aligned()
        if name in DROPPED:
            if name in ("left", "right") and self.tokens[self.at : self.at + 1] == ["."]:
                self.at += 1
            return ""
        if name in SPACES:
            return SPACES[name]
        raise self.fail(rf"has the command \{name}, which is not known here")

    def aligned(self) -> str:
        """Read lines with columns, up to their end."""
        name = self.raw()
        if name != "aligned":
            raise self.fail(f"has the environment {name}, which is not known here")
        text = ""
        while self.at < len(self.tokens) and self.tokens[self.at] != r"\end":
            text += self.item(text)
        self.at += 1
        if self.at > len(self.tokens) or self.raw() != name:
            raise self.fail(f"does not end its {name}")
        return text

    def scripts(self) -> str:
        """Read what stands above and below on the right."""
        text = ""
        while self.at < len(self.tokens) and self.tokens[self.at] in "^_'":
            token = self.tokens[self.at]
            self.at += 1
            text += token if token == "'" else script(token, self.argument())
        return text


def clean(text: str) -> str:
    """Give a part of a formula as it is seen by itself."""
    return text.strip(f" {NARROW}{WIDE}")


def script(mark: str, text: str) -> str:
    """Raise or lower a text, where Unicode can; else say so as programs do."""
    small = SUPERSCRIPTS if mark == "^" else SUBSCRIPTS
    tight = re.sub(rf"[ {NARROW}{WIDE}]", "", text)
    if all(character in small for character in tight):
        return "".join(small[character] for character in tight)
    return mark + (text if len(text) == 1 or text.isalnum() else f"({text})")


def over(above: str, below: str) -> str:
    """Write a fraction in one line."""
    without = re.sub(r"\([^()]*\)", "", above)
    above = f"({above})" if re.search(r" [-+±=≈<>] ", without) else above
    return f"{above}/{bracketed(below)}{WIDE}"


def bracketed(text: str) -> str:
    """Put brackets around what is more than one letter or one number."""
    base = "".join(c for c in text.lstrip("∂∇") if c not in RAISED_OR_LOWERED and not unicodedata.combining(c))
    is_one = len(base) <= 1 or base.isdigit() or re.fullmatch(r"d[a-zθ]|[A-Za-z]?\([^()]*\)|‖[^‖]*‖|\|[^|]*\|", base)
    return text if is_one else f"({text})"
