"""Scripts for PyTorch and what they become here, line by line: their losses are the same, and few lines differ."""

from __future__ import annotations

import difflib
import inspect
import textwrap
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import autodiff as ad
import nn

# fmt: off
# ruff: noqa: D103, F811


def classifier_there(X: Any, y: Any, X_val: Any, y_val: Any, start: Any, path: Any) -> Any:
    import torch
    from torch import nn, optim

    class Net(nn.Module):
        def __init__(self, hidden):
            super().__init__()
            self.body = nn.Sequential(nn.Linear(64, hidden), nn.ReLU(), nn.Dropout(0.0))
            self.head = nn.Linear(hidden, 10)

        def forward(self, x):
            return self.head(self.body(x))

    torch.manual_seed(0)
    device = torch.device("cpu")
    X, y = torch.from_numpy(X).to(device), torch.from_numpy(y).to(device)
    X_val, y_val = torch.from_numpy(X_val).to(device), torch.from_numpy(y_val).to(device)
    model = Net(32).to(device)
    model.load_state_dict(start)
    loss_fn = nn.CrossEntropyLoss(label_smoothing=0.1)
    optimizer = optim.Adam(model.parameters(), lr=1e-2, weight_decay=1e-4)
    scheduler = optim.lr_scheduler.MultiStepLR(optimizer, milestones=[2, 4], gamma=0.3)
    losses, best, waited = [], float("inf"), 0
    for epoch in range(5):
        model.train()
        for i in range(0, len(X), 128):
            xb, yb = X[i : i + 128], y[i : i + 128]
            optimizer.zero_grad()
            loss = loss_fn(model(xb), yb)
            loss.backward()
            nn.utils.clip_grad_norm_(model.parameters(), max_norm=0.5)
            optimizer.step()
            losses.append(loss.item())
        scheduler.step()
        model.eval()
        with torch.no_grad():
            logits = model(X_val)
            val_loss = loss_fn(logits, y_val).item()
            accuracy = (logits.argmax(1) == y_val).float().mean().item()
        losses.append(val_loss)
        if val_loss < best:
            best, waited = val_loss, 0
            torch.save(model.state_dict(), path)
        else:
            waited += 1
            if waited == 2:
                break
    model.load_state_dict(torch.load(path))
    losses.append(loss_fn(model(X_val), y_val).item())
    return losses, accuracy, scheduler.get_last_lr()


def classifier_here(X: Any, y: Any, X_val: Any, y_val: Any, start: Any, path: Any) -> Any:
    import nn
    from nn import optim

    class Net(nn.Module):
        def __init__(self, hidden):
            super().__init__()
            self.body = nn.Sequential(nn.Linear(64, hidden), nn.ReLU(), nn.Dropout(0.0))
            self.head = nn.Linear(hidden, 10)

        def forward(self, x):
            return self.head(self.body(x))

    model = Net(32)
    model.load_state_dict(start)
    loss_fn = nn.CrossEntropyLoss(label_smoothing=0.1)
    optimizer = optim.Adam(model.parameters(), lr=1e-2, weight_decay=1e-4)
    scheduler = optim.lr_scheduler.MultiStepLR(optimizer, milestones=[2, 4], gamma=0.3)
    losses, best, waited = [], float("inf"), 0
    for epoch in range(5):
        model.train()
        for i in range(0, len(X), 128):
            xb, yb = X[i : i + 128], y[i : i + 128]
            optimizer.zero_grad()
            loss = loss_fn(model(xb), yb)
            loss.backward()
            nn.utils.clip_grad_norm_(model.parameters(), max_norm=0.5)
            optimizer.step()
            losses.append(loss.item())
        scheduler.step()
        model.eval()
        with ad.no_grad():
            logits = model(X_val)
            val_loss = loss_fn(logits, y_val).item()
            accuracy = (logits.argmax(1) == y_val).mean()
        losses.append(val_loss)
        if val_loss < best:
            best, waited = val_loss, 0
            nn.save(model, path)
        else:
            waited += 1
            if waited == 2:
                break
    nn.load(model, path)
    losses.append(loss_fn(model(X_val), y_val).item())
    return losses, accuracy, scheduler.get_last_lr()

# fmt: on


def changed_lines(there: Callable[..., Any], here: Callable[..., Any]) -> tuple[int, int]:
    """Count the lines of a script for PyTorch, and those of them that are others here or are gone; and print them."""
    sources = [textwrap.dedent(inspect.getsource(script)).splitlines()[1:] for script in (there, here)]
    matcher = difflib.SequenceMatcher(None, *sources, autojunk=False)
    lines = [line for line in difflib.unified_diff(*sources, lineterm="", n=0) if not line.startswith(("---", "+++"))]
    same = sum(block.size for block in matcher.get_matching_blocks())
    changed, count = len(sources[0]) - same, len(sources[0])
    print(f"{changed} of {count} lines differ:", *lines, sep="\n")
    return changed, count


def test_a_classifier_of_digits(tmp_path: Path) -> None:
    torch = pytest.importorskip("torch")
    digits = pytest.importorskip("sklearn.datasets").load_digits()
    X, y = (digits.data / 16).astype(np.float32), digits.target
    data = X[:1280], y[:1280], X[1280:], y[1280:]

    class Net(nn.Module):
        def __init__(self) -> None:
            self.body = nn.Sequential(nn.Linear(64, 32, rng=0))
            self.head = nn.Linear(32, 10, rng=1)

    net = Net()
    start = {name: torch.from_numpy(array) for name, array in nn.to_torch(net).items()}
    theirs, their_accuracy, their_rates = classifier_there(*data, start, tmp_path / "there.pt")
    ours, accuracy, rates = classifier_here(*data, net.state_dict(), tmp_path / "here.safetensors")
    assert len(ours) == len(theirs) == 56  # 50 steps, 5 epochs, and the best model in the end
    np.testing.assert_allclose(ours, theirs, atol=1e-5, rtol=0)
    assert accuracy == pytest.approx(their_accuracy)
    assert accuracy > 0.8
    np.testing.assert_allclose(rates, their_rates, rtol=1e-12)
    changed, count = changed_lines(classifier_there, classifier_here)
    assert changed <= 11
