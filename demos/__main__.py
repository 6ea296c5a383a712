"""``python -m demos`` lists the chapters in the lecture's order: for each its title, read without running it."""

import argparse
import shutil
import textwrap
from collections.abc import Sequence

from demos import chapter

ORDER = (
    "linear_regression", "linear_model", "activations", "backpropagation", "gradient_flow", "probability",
    "monte_carlo", "maximum_likelihood", "logistic_regression", "conditional_expectation", "depth", "digits",
    "per_example", "fourier", "gaussian_process", "neural_ode", "larger_than_memory",
)  # fmt: skip


def main(arguments: Sequence[str] | None = None) -> None:
    """Print a line a chapter; in a terminal, a long one is broken below its title."""
    usage = "python -m demos, to list the chapters; python -m demos.NAME, to run one"
    argparse.ArgumentParser("python -m demos", usage).parse_args(arguments)
    room = max(map(len, ORDER))
    width = max(80, shutil.get_terminal_size((10_000, 24)).columns)
    for name in ORDER:
        command = f"python -m demos.{name:{room}}  "
        lines = textwrap.wrap(chapter.title(name), width - len(command), break_on_hyphens=False)
        print(command + ("\n" + " " * len(command)).join(lines))


if __name__ == "__main__":
    main()
