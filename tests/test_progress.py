"""What a training says on the way: a bar that a narrow terminal has room for, and elsewhere few lines."""

from __future__ import annotations

import io
import os
import sys
import types
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import nn

X = np.random.default_rng(0).normal(size=(40, 2)).astype(np.float32)
LABELS = (X[:, 0] > 0).astype(np.int64)
DATA = X[:20], LABELS[:20]


@pytest.fixture(autouse=True)
def _not_disabled(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TQDM_DISABLE")


def fitted(**options: Any) -> nn.History:
    return nn.fit(nn.MLP([2, 4, 2], rng=0), X, LABELS, rng=0, validation_data=DATA, metrics=["accuracy"], **options)


def on_a_terminal(monkeypatch: pytest.MonkeyPatch, columns: int, **options: Any) -> list[str]:
    """Give all that a terminal of so many columns shows, one after the other."""
    termios, fcntl = pytest.importorskip("termios"), pytest.importorskip("fcntl")
    shown, end = os.openpty()
    fcntl.ioctl(end, termios.TIOCSWINSZ, np.array([0, columns, 0, 0], np.uint16).tobytes())
    with open(end, "w") as stderr, monkeypatch.context() as patch, os.fdopen(shown, "rb", 0) as screen:
        patch.setattr(sys, "stderr", stderr)
        patch.setattr("nn.progress.SECONDS", 0)
        fitted(**options)
        stderr.flush()
        os.set_blocking(shown, False)
        return (screen.read(100_000) or b"").decode().replace("\r\n", "").split("\r")


@pytest.mark.parametrize("columns", [120, 80, 40, 20, 0])
def test_a_bar_fits_the_terminal(columns: int, monkeypatch: pytest.MonkeyPatch) -> None:
    last = on_a_terminal(monkeypatch, columns, epochs=12)[-1].rstrip()
    columns = columns or 80  # of a terminal that does not say
    assert max(map(len, last.splitlines())) <= columns
    assert last.startswith("12/12")
    assert last.count("█") >= 3
    history = fitted(epochs=12, progress=False)
    numbers = {"loss": history.loss, "val_acc": history.validation_accuracy, "val_loss": history.validation_loss}
    places = 4 if columns >= 80 else 3
    texts = [f"{name} {values[-1]:.{places}f}" for name, values in numbers.items()]
    kept = {120: 3, 80: 3, 40: 2, 20: 0}[columns]
    assert [text in last for text in texts] == [k < kept for k in range(3)]
    assert ("acc " in last.replace("val_acc", "")) == (columns == 120)


def test_elsewhere_there_are_few_lines(capsys: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    history = fitted(epochs=50)
    out, err = capsys.readouterr()
    assert out == ""
    (line,) = err.splitlines()
    assert line.startswith(f"epoch 50/50: loss {history.loss[-1]:.4f}, val_acc {history.validation_accuracy[-1]:.4f}, ")
    with pytest.raises(ZeroDivisionError):
        fitted(epochs=50, callbacks=[lambda epoch, model, history: 1 // (3 - epoch)])
    assert capsys.readouterr().err.startswith("epoch 2/50: ")  # what there was before it
    monkeypatch.setattr("nn.progress.SECONDS", 0)
    fitted(epochs=3)
    assert [text.partition(":")[0] for text in capsys.readouterr().err.splitlines()] == [
        "epoch 1/3", "epoch 2/3", "epoch 3/3",
    ]  # fmt: skip


class Gone(io.StringIO):
    def __init__(self, is_terminal: bool) -> None:
        super().__init__()
        self.isatty = lambda: is_terminal  # type: ignore[method-assign]

    def write(self, text: str) -> int:
        raise BrokenPipeError(32, "nobody listens")


@pytest.mark.parametrize(
    "stream", [Gone(True), Gone(False), io.StringIO(), types.SimpleNamespace(write=len, flush=int), None]
)
def test_no_training_ends_because_nobody_listens(stream: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("nn.progress.SECONDS", 0)
    monkeypatch.setattr(sys, "stderr", stream)
    if type(stream) is io.StringIO:
        stream.close()
    assert len(fitted(epochs=2).loss) == 2


def test_it_is_silenced(capsys: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    assert on_a_terminal(monkeypatch, 80, progress=False) == [""]
    fitted(progress=False)
    monkeypatch.setenv("TQDM_DISABLE", "1")
    assert on_a_terminal(monkeypatch, 80) == [""]
    fitted()
    monkeypatch.delenv("TQDM_DISABLE")
    monkeypatch.setattr(sys, "stderr", None)  # as of a program without a console
    fitted()
    assert capsys.readouterr() == ("", "")


def test_a_run_that_goes_on_counts_what_was(tmp_path: Path, capsys: Any) -> None:
    for epochs, said in ((2, "epoch 2/2: "), (3, "epoch 3/3: "), (3, "")):
        fitted(epochs=epochs, checkpoint=tmp_path / "run")
        assert capsys.readouterr().err[:11] == said
