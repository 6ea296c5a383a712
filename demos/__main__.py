"""``python -m demos`` lists the chapters in the lecture's order: for each its title, read without running it."""

from demos import chapter

ORDER = (
    "linear_regression", "linear_model", "activations", "backpropagation", "gradient_flow", "probability",
    "monte_carlo", "maximum_likelihood", "logistic_regression", "conditional_expectation", "depth", "digits",
    "per_example", "fourier", "gaussian_process", "neural_ode", "larger_than_memory",
)  # fmt: skip


def main() -> None:
    """Print one line a chapter."""
    width = max(map(len, ORDER))
    for name in ORDER:
        print(f"python -m demos.{name:{width}}  {chapter.title(name)}")


if __name__ == "__main__":
    main()
