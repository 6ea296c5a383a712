"""What `fit` records, as lists, curves and a table."""

from __future__ import annotations

import csv
import io
import os
from dataclasses import dataclass, field
from typing import Any

from autodiff.files import write_atomically
from nn.checks import check_path


@dataclass
class History:
    """What `fit` saw, one entry an epoch.

    Attributes:
        loss: mean training loss over the epoch's batches, each taken before its step.
        validation_loss: loss on the validation data at the end of the epoch; empty without such data.
        validation_accuracy: share of the validation data that is classified rightly; empty without such data or
            without classes.
        seconds: time the epoch took, without its validation.
        samples: rows trained on in an epoch.
        metrics: for each of the metrics asked for, its mean over the epoch's batches, each taken before its step.
        validation_metrics: for each of them, its value on all of the validation data; empty without such data.
        lr: learning rate of the epoch's steps, that of the optimizer's first group.
    """

    loss: list[float] = field(default_factory=list)
    validation_loss: list[float] = field(default_factory=list)
    validation_accuracy: list[float] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)
    samples: int = 0
    metrics: dict[str, list[float]] = field(default_factory=dict)
    validation_metrics: dict[str, list[float]] = field(default_factory=dict)
    lr: list[float] = field(default_factory=list)

    @property
    def samples_per_second(self) -> float:
        """Rows trained on in a second, validation not counted."""
        return self.samples * len(self.seconds) / sum(self.seconds) if self.seconds else 0.0

    def columns(self) -> dict[str, list[float]]:
        """Give every list that has entries by its name; metrics on the validation data begin with "validation_".

        Example:
            >>> History(loss=[0.5, 0.25], metrics={"accuracy": [0.75, 1.0]}).columns()
            {'loss': [0.5, 0.25], 'accuracy': [0.75, 1.0]}
        """
        lists = {
            "loss": self.loss,
            "validation_loss": self.validation_loss,
            **self.metrics,
            "validation_accuracy": self.validation_accuracy,
            **{f"validation_{name}": values for name, values in self.validation_metrics.items()},
            "lr": self.lr,
            "seconds": self.seconds,
        }
        return {name: values for name, values in lists.items() if values}

    def to_csv(self, path: str | os.PathLike[str]) -> None:
        """Write a table with a line for each epoch, whose numbers read back are the same to the last bit.

        Args:
            path: of the file, which is whole at every moment, as `nn.save` writes it.

        Raises:
            OSError: the path cannot be written.
            TypeError: the path is none.
            ValueError: the lists have different lengths.

        Example:
            >>> import tempfile
            >>> from pathlib import Path
            >>> with tempfile.TemporaryDirectory() as folder:
            ...     History(loss=[0.5, 0.25], seconds=[1.0, 1.5]).to_csv(folder + "/run.csv")
            ...     print(Path(folder, "run.csv").read_text())
            epoch,loss,seconds
            1,0.5,1.0
            2,0.25,1.5
        """
        columns = self.columns()
        if len(set(map(len, columns.values()))) > 1:
            lengths = ", ".join(f"{name} {len(values)}" for name, values in columns.items())
            raise ValueError(f"History.to_csv: the lists have different lengths: {lengths}")
        text = io.StringIO()
        table = csv.writer(text, lineterminator="\n")
        table.writerow(["epoch", *columns])
        table.writerows([epoch, *row] for epoch, row in enumerate(zip(*columns.values(), strict=True), start=1))
        write_atomically(check_path("History.to_csv", path), text.getvalue().encode())

    def plot(self, ax: Any = None) -> Any:
        """Draw the learning curves: losses on a log scale and, on the right, the accuracy.

        Args:
            ax: the matplotlib Axes to draw on; by default those of a new figure.

        Returns:
            The Axes.

        Raises:
            ImportError: matplotlib is not installed.
            ValueError: there are no epochs to draw.
        """
        if not self.loss:
            raise ValueError("History.plot: there are no epochs to draw")
        try:
            from matplotlib.figure import Figure
        except ImportError:
            raise ImportError('History.plot needs matplotlib: pip install "autodiff[demos]"') from None
        if ax is None:
            ax = Figure(figsize=(6.4, 4), layout="constrained").subplots()
        epochs = range(1, len(self.loss) + 1)
        lines = ax.plot(epochs, self.loss, color="#0072B2", label="training loss")
        if self.validation_loss:
            lines += ax.plot(epochs, self.validation_loss, color="#D55E00", label="validation loss")
        if min(self.loss + self.validation_loss) > 0:
            ax.set_yscale("log")
        ax.set(xlabel="epoch", ylabel="loss")
        ax.spines["top"].set_visible(False)
        if self.validation_accuracy:
            right = ax.twinx()
            lines += right.plot(epochs, self.validation_accuracy, color="#009E73", ls="--", label="validation accuracy")
            right.set(ylabel="accuracy")
            right.spines["top"].set_visible(False)
        ax.legend(handles=lines, loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=3, frameon=False)
        return ax
