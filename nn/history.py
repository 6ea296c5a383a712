"""What `fit` records, as lists, curves and a table."""

from __future__ import annotations

import base64
import csv
import html
import io
import itertools
import math
import os
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from autodiff.files import write_atomically
from nn import figures
from nn.checks import check_path
from nn.progress import brief

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.lines import Line2D

Curves = dict[str, list[float]]  # of one quantity: "training", "validation", or both

_AXIS_WIDTH = 65  # points that an axis with its numbers and its name takes
_MOST_EPOCHS = 5  # of a table, and the best one


@dataclass(repr=False)
class History:
    """What `fit` saw, one entry an epoch. A notebook shows it as curves and a table of a few epochs.

    Attributes:
        loss: mean training loss over the epoch's batches, each taken before its step.
        validation_loss: loss on the validation data at the end of the epoch; empty without such data.
        validation_accuracy: share of the validation data that is classified rightly, as `evaluate` counts it; empty
            without such data or without classes.
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

    def __repr__(self) -> str:
        rows = self._table()
        sides = [max(map(len, column)) for column in zip(*rows)]
        lines = ["  ".join([row[0].ljust(sides[0]), *map(str.rjust, row[1:], sides[1:])]) for row in rows]
        return "\n".join([self._title(), *lines])

    def _repr_html_(self) -> str:
        table = ""
        for kind, row in zip(itertools.chain(["th"], itertools.repeat("td")), self._table()):
            name, *cells = map(html.escape, row)
            table += f"<tr><th>{name}</th>{''.join(f'<{kind}>{cell}</{kind}>' for cell in cells)}</tr>"
        return f"{self._image()}<p>{self._title()}</p><table>{table}</table>"

    def _image(self) -> str:
        """Give the curves as an element of a page, where they can be drawn."""
        try:
            figure = self.plot().figure.canvas.figure
        except (ImportError, ValueError):
            return ""
        from nn.shown import png, width

        data = base64.b64encode(png(figure)).decode()
        return f'<img src="data:image/png;base64,{data}" alt="curves" style="width:{width(figure)}px;max-width:100%">'

    def _title(self) -> str:
        count = max(map(len, self.columns().values()), default=0)
        time = f" in {brief(sum(self.seconds))} s" if self.seconds else ""
        best = "; * has the smallest validation loss" if self._best() else ""
        return f"History of {count} epoch{'s' * (count != 1)}{time}{best}"

    def _table(self) -> list[list[str]]:
        """Give the numbers of a few epochs, a line a list, behind its name."""
        columns = {name: values for name, values in self.columns().items() if name != "seconds"}
        if len(set(self.lr)) == 1:
            del columns["lr"]
        count = max(map(len, columns.values()), default=0)
        if not count:
            return []
        epochs = {*np.linspace(1, count, min(count, _MOST_EPOCHS)).round().astype(int).tolist(), *self._best()}
        lines = [["epoch", *(f"{'*' * (epoch in self._best())}{epoch}" for epoch in sorted(epochs))]]
        for name, values in columns.items():
            lines.append([name, *(brief(values[k - 1]) if k <= len(values) else "" for k in sorted(epochs))])
        return lines

    def _best(self) -> list[int]:
        """Give the epoch with the smallest validation loss, if there is one."""
        finite = [(loss, epoch) for epoch, loss in enumerate(self.validation_loss, start=1) if math.isfinite(loss)]
        return [min(finite)[1]] if finite else []

    @property
    def samples_per_second(self) -> float:
        """Rows trained on in a second, validation not counted."""
        return self.samples * len(self.seconds) / sum(self.seconds) if self.seconds else 0.0

    def columns(self) -> dict[str, list[float]]:
        """Give every list that has entries by its name; metrics on the validation data begin with "validation_".

        Example:
            >>> nn.History(loss=[0.5, 0.25], metrics={"accuracy": [0.75, 1.0]}).columns()
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
            ...     nn.History(loss=[0.5, 0.25], seconds=[1.0, 1.5]).to_csv(folder + "/run.csv")
            ...     print(Path(folder, "run.csv").read_text())
            epoch,loss,seconds
            1,0.5,1.0
            2,0.25,1.5
        """
        columns = self._whole_columns("to_csv")
        text = io.StringIO()
        table = csv.writer(text, lineterminator="\n")
        table.writerow(["epoch", *columns])
        table.writerows([epoch, *row] for epoch, row in enumerate(zip(*columns.values(), strict=True), start=1))
        write_atomically(check_path("History.to_csv", path), text.getvalue().encode())

    def plot(self, ax: Axes | None = None) -> Axes:
        """Draw the learning curves, and mark the epoch with the smallest validation loss.

        Dashed curves are of the training data, solid ones of the validation data. Losses are on the left, on a log
        scale where all are positive. Metrics are on the right; those whose largest values are further than a factor of
        three apart have axes of their own, in the colour of the curve. Numbers that are not finite are gaps. Without
        validation data no epoch is marked: the training loss does not tell when to stop.

        Args:
            ax: the matplotlib Axes to draw on; by default those of a new figure, which needs no display.

        Returns:
            The Axes of the losses, which a notebook shows. ``history.plot().figure.savefig("curves.png")`` writes them.

        Raises:
            ImportError: matplotlib is not installed.
            TypeError: ``ax`` is not an Axes.
            ValueError: there are no epochs to draw, or the lists have different lengths.

        Example:
            >>> ax = nn.History(loss=[0.9, 0.4, 0.2], validation_loss=[0.8, 0.5, 0.6]).plot()
            >>> [text.get_text() for text in ax.get_legend().get_texts()]
            ['training loss', 'validation loss', 'best epoch: 2']
        """
        if not self.loss:
            raise ValueError("History.plot: there are no epochs to draw")
        self._whole_columns("plot")
        curves = self._curves()
        scales = _by_scale({name: parts for name, parts in curves.items() if name != "loss"})
        ax = figures.axes("History.plot", ax, 6.4 + (_AXIS_WIDTH / 72) * len(scales[1:]), 4.2)
        colors = dict(zip(curves, itertools.cycle(figures.COLORS)))
        lines = _draw(ax, ["loss"], curves, colors)
        for epoch in self._best():
            lines += _mark(ax, epoch, self.validation_loss[epoch - 1], colors["loss"])
        if min(filter(math.isfinite, self.loss + self.validation_loss), default=0) > 0:
            from nn.shown import PlainNumbers

            ax.set_yscale("log")
            ax.yaxis.set_major_formatter(PlainNumbers())
            ax.yaxis.set_minor_formatter(PlainNumbers())
        for position, names in enumerate(scales):
            right = ax.twinx()
            right.spines["right"].set_position(("outward", _AXIS_WIDTH * position))
            lines += _draw(right, names, curves, colors)
        _finish(ax, lines, _AXIS_WIDTH * len(scales[1:]))
        return ax

    def _whole_columns(self, caller: str) -> dict[str, list[float]]:
        """Give the columns, which must be of one length."""
        columns = self.columns()
        if len(set(map(len, columns.values()))) > 1:
            lengths = ", ".join(f"{name} {len(values)}" for name, values in columns.items())
            raise ValueError(f"History.{caller}: the lists have different lengths: {lengths}")
        return columns

    def _curves(self) -> dict[str, Curves]:
        """Give the lists to draw by what they are of, the loss first."""
        parts = {
            "training": {"loss": self.loss, **self.metrics},
            "validation": {
                "loss": self.validation_loss, "accuracy": self.validation_accuracy, **self.validation_metrics,
            },
        }  # fmt: skip
        curves: dict[str, Curves] = {}
        for part, columns in parts.items():
            for name, values in columns.items():
                if values:
                    curves.setdefault(name, {})[part] = values
        return curves


def _by_scale(metrics: dict[str, Curves]) -> list[list[str]]:
    """Put the names of metrics together whose largest values are within a factor of three."""
    scales: list[dict[str, float]] = []
    for name, parts in metrics.items():
        numbers = itertools.chain.from_iterable(parts.values())
        size = max((abs(number) for number in numbers if math.isfinite(number)), default=0.0)
        for scale in scales:
            if max(size, *scale.values()) <= 3 * min(size, *scale.values()):
                scale[name] = size
                break
        else:
            scales.append({name: size})
    return [list(scale) for scale in scales]


def _draw(ax: Axes, names: list[str], curves: dict[str, Curves], colors: dict[str, str]) -> list[Line2D]:
    """Draw the curves of the loss, or of some metrics, on one axis."""
    lines = []
    for name in names:
        for part, values in curves[name].items():
            style = "--" if part == "training" else "-"
            finite = np.isfinite([np.nan, *values, np.nan])
            alone = np.flatnonzero(finite[1:-1] & ~finite[:-2] & ~finite[2:]).tolist()  # such points have no line
            lines += ax.plot(
                range(1, len(values) + 1), values, style, color=colors[name], label=f"{part} {name}",
                marker="o" if alone else "", markersize=4, markevery=alone,
            )  # fmt: skip
    ax.set_ylabel(", ".join(names))
    if len(names) == 1:
        ax.yaxis.label.set_color(colors[names[0]])
        ax.tick_params(axis="y", which="both", colors=colors[names[0]])
    ax.spines["top"].set_visible(False)
    return lines


def _mark(ax: Axes, epoch: int, loss: float, color: str) -> list[Line2D]:
    """Mark the smallest of the validation losses."""
    ax.axvline(epoch, color=figures.GREY, lw=0.8, ls=":")
    return ax.plot(
        epoch, loss, "*", color=color, markersize=13, markeredgecolor="white", label=f"best epoch: {epoch}", zorder=3
    )


def _finish(ax: Axes, lines: list[Line2D], beside: int) -> None:
    """Label the epochs, and put the legend below them, where no title, no curve and no axis beside is."""
    from matplotlib.ticker import MaxNLocator
    from matplotlib.transforms import ScaledTranslation

    ax.set_xlabel("epoch")
    ax.xaxis.set_major_locator(MaxNLocator("auto", integer=True, min_n_ticks=1))
    entry = 30 + 4.5 * max(len(str(line.get_label())) for line in lines)  # its width in points
    room = 1.25 * ax.get_window_extent().width * 72 / ax.figure.dpi - beside  # reaching under the labels at both sides
    # By a distance in inches, the numbers and the name of the axis stay free whatever the height of the Axes is.
    below = ax.transAxes + ScaledTranslation(0, -0.5, ax.figure.dpi_scale_trans)
    ax.legend(
        handles=lines, loc="upper center", bbox_to_anchor=(0.5, 0), bbox_transform=below, borderaxespad=0,
        ncols=max(1, int(room / entry)), frameon=False, fontsize="small",
    )  # fmt: skip
