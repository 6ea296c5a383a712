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
# ruff: noqa: B007, I001, N812, RUF007 (the scripts are as people write them)


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


def autoencoder_there(X: Any, start: Any) -> Any:
    import torch
    import torch.nn as nn
    import torch.nn.functional as F
    from torch import optim

    class Scale(nn.Module):
        def __init__(self, size):
            super().__init__()
            self.gain = nn.Parameter(torch.ones(size))
            self.register_buffer("count", torch.zeros(()))

        def forward(self, x):
            if self.training:
                self.count += 1
            return x * self.gain

    class AutoEncoder(nn.Module):
        def __init__(self, sizes):
            super().__init__()
            self.layers = nn.ModuleList([nn.Linear(m, n) for m, n in zip(sizes[:-1], sizes[1:])])
            self.back = nn.ParameterList([nn.Parameter(torch.zeros(n)) for n in sizes[:-1]])
            self.acts = nn.ModuleDict({"hidden": nn.LeakyReLU(0.1), "out": nn.Sigmoid()})
            self.scale = Scale(sizes[-1])
            for layer in self.layers:
                nn.init.zeros_(layer.bias)

        def encode(self, x):
            for layer in self.layers:
                x = self.acts["hidden"](layer(x))
            return self.scale(x)

        def decode(self, z):
            for i in reversed(range(len(self.layers))):
                z = F.linear(z, self.layers[i].weight.t(), self.back[i])
                z = self.acts["hidden"](z) if i else self.acts["out"](z)
            return z

        def forward(self, x):
            z = self.encode(x)
            return self.decode(z), z

    X = torch.tensor(X, dtype=torch.float32)
    model = AutoEncoder([64, 16, 4])
    missing, unexpected = model.load_state_dict(start, strict=False)
    number = sum(p.numel() for p in model.parameters())
    decay = [p for p in model.parameters() if p.dim() > 1]
    others = [p for p in model.parameters() if p.dim() <= 1]
    groups = [{"params": decay, "weight_decay": 0.1}, {"params": others, "weight_decay": 0.0, "lr": 3e-2}]
    optimizer = optim.AdamW(groups, lr=1e-2)
    scheduler = optim.lr_scheduler.OneCycleLR(optimizer, max_lr=[1e-2, 3e-2], total_steps=30)
    losses = []
    for step in range(30):
        model.zero_grad(set_to_none=True)
        noisy = X * (torch.arange(X.size(1)) % 7 != step % 7).float().unsqueeze(0)
        out, z = model(noisy)
        loss = F.mse_loss(out, X) + 1e-3 * z.abs().mean() + 1e-4 * z.pow(2).sum(dim=1, keepdim=True).mean()
        loss.backward()
        torch.nn.utils.clip_grad_value_(model.parameters(), 0.1)
        optimizer.step()
        scheduler.step()
        losses.append(loss.item())
    model.eval()
    with torch.no_grad():
        out, z = model(X)
        codes = z.detach().cpu().numpy()
        best = (out - X).pow(2).mean(dim=1).min().item()
    vector = nn.utils.parameters_to_vector(model.parameters())
    numbers = best, vector.norm().item(), int(model.scale.count), number
    return losses, codes, *numbers, len(missing), unexpected


def autoencoder_here(X: Any, start: Any) -> Any:
    import numpy as np
    import autodiff as ad
    import nn
    import nn.functional as F
    from nn import optim

    class Scale(nn.Module):
        def __init__(self, size):
            super().__init__()
            self.gain = nn.Parameter(np.ones(size, np.float32))
            self.count = nn.Buffer(np.zeros((), np.float32))

        def forward(self, x):
            if self.training:
                self.count.data += 1
            return x * self.gain

    class AutoEncoder(nn.Module):
        def __init__(self, sizes):
            super().__init__()
            self.layers = nn.ModuleList([nn.Linear(m, n) for m, n in zip(sizes[:-1], sizes[1:])])
            self.back = [nn.Parameter(np.zeros(n, np.float32)) for n in sizes[:-1]]
            self.acts = nn.ModuleDict({"hidden": nn.LeakyReLU(0.1), "out": nn.Sigmoid()})
            self.scale = Scale(sizes[-1])
            for layer in self.layers:
                nn.init.zeros_(layer.bias)

        def encode(self, x):
            for layer in self.layers:
                x = self.acts["hidden"](layer(x))
            return self.scale(x)

        def decode(self, z):
            for i in reversed(range(len(self.layers))):
                z = F.linear(z, self.layers[i].weight.T, self.back[i])
                z = self.acts["hidden"](z) if i else self.acts["out"](z)
            return z

        def forward(self, x):
            z = self.encode(x)
            return self.decode(z), z

    X = X.astype(np.float32)
    model = AutoEncoder([64, 16, 4])
    missing, unexpected = model.load_state_dict(start, strict=False)
    number = sum(p.size for p in model.parameters())
    decay = [p for p in model.parameters() if p.ndim > 1]
    others = [p for p in model.parameters() if p.ndim <= 1]
    groups = [{"params": decay, "weight_decay": 0.1}, {"params": others, "weight_decay": 0.0, "lr": 3e-2}]
    optimizer = optim.AdamW(groups, lr=1e-2)
    scheduler = optim.lr_scheduler.OneCycleLR(optimizer, max_lr=[1e-2, 3e-2], total_steps=30)
    losses = []
    for step in range(30):
        model.zero_grad(set_to_none=True)
        noisy = X * (np.arange(X.shape[1]) % 7 != step % 7)
        out, z = model(noisy)
        loss = F.mse_loss(out, X) + 1e-3 * z.abs().mean() + 1e-4 * (z**2).sum(axis=1, keepdims=True).mean()
        loss.backward()
        nn.utils.clip_grad_value_(model.parameters(), 0.1)
        optimizer.step()
        scheduler.step()
        losses.append(loss.item())
    model.eval()
    with ad.no_grad():
        out, z = model(X)
        codes = z.data
        best = ((out - X)**2).mean(axis=1).min().item()
    vector = nn.utils.parameters_to_vector(model.parameters())
    numbers = best, np.linalg.norm(vector).item(), int(model.scale.count), number
    return losses, codes, *numbers, len(missing), unexpected


def regression_there(x: Any, y: Any, start: Any) -> Any:
    import torch
    from torch import nn, optim

    x = torch.from_numpy(x).unsqueeze(1)
    y = torch.from_numpy(y).view(-1, 1)

    class Heads(nn.Module):
        def __init__(self, width):
            super().__init__()
            self.body = nn.Sequential()
            self.body.append(nn.Linear(1, width)).append(nn.Tanh())
            self.mean = nn.Linear(width, 1)
            self.log_var = nn.Linear(width, 1)

        def forward(self, x):
            h = self.body(x)
            return self.mean(h), torch.exp(self.log_var(h).clamp(-6, 6))

    torch.manual_seed(0)
    model = Heads(4).double()
    model.load_state_dict(start)
    activations = {}

    def keep(module, args, output):
        activations["h"] = output.detach()

    handle = model.body[-1].register_forward_hook(keep)
    shift = model.register_forward_pre_hook(lambda module, args: (args[0] * 2 - 1,))
    loss_fn = nn.GaussianNLLLoss(eps=1e-4)
    optimizer = optim.LBFGS(
        model.parameters(), max_iter=200, line_search_fn="strong_wolfe", tolerance_grad=1e-9, tolerance_change=1e-14
    )
    penalty = 3e-2

    def closure():
        optimizer.zero_grad()
        mean, var = model(x)
        loss = loss_fn(mean, y, var) + penalty * sum((p**2).sum() for p in model.parameters())
        loss.backward()
        return loss

    first = optimizer.step(closure).item()
    for _ in range(2):
        last = optimizer.step(closure).item()
    handle.remove()
    shift.remove()
    model.register_forward_pre_hook(lambda module, args: args[0] * 2 - 1)
    mean, var = model(x)
    z = (y - mean) / var.sqrt()
    loss = loss_fn(mean, y, var)
    model.zero_grad()
    loss.backward(retain_graph=True)
    loss.backward()
    return first, last, z.std().item(), model.mean.bias.grad.item(), activations["h"].shape


def regression_here(x: Any, y: Any, start: Any) -> Any:
    import numpy as np
    import nn
    from nn import optim

    x = x[:, None]
    y = y.reshape(-1, 1)

    class Heads(nn.Module):
        def __init__(self, width):
            super().__init__()
            self.body = nn.Sequential()
            self.body.append(nn.Linear(1, width, dtype=np.float64)).append(nn.Tanh())
            self.mean = nn.Linear(width, 1, dtype=np.float64)
            self.log_var = nn.Linear(width, 1, dtype=np.float64)

        def forward(self, x):
            h = self.body(x)
            return self.mean(h), np.exp(self.log_var(h).clip(-6, 6))

    model = Heads(4)
    model.load_state_dict(start)
    activations = {}

    def keep(module, args, output):
        activations["h"] = output.detach()

    handle = model.body[-1].register_forward_hook(keep)
    shift = model.register_forward_pre_hook(lambda module, args: (args[0] * 2 - 1,))
    loss_fn = nn.GaussianNLLLoss(eps=1e-4)
    optimizer = optim.LBFGS(
        model.parameters(), max_iter=200, line_search_fn="strong_wolfe", tolerance_grad=1e-9, tolerance_change=1e-14
    )
    penalty = 3e-2

    def closure():
        optimizer.zero_grad()
        mean, var = model(x)
        loss = loss_fn(mean, y, var) + penalty * sum((p**2).sum() for p in model.parameters())
        loss.backward()
        return loss

    first = optimizer.step(closure).item()
    for _ in range(2):
        last = optimizer.step(closure).item()
    handle.remove()
    shift.remove()
    model.register_forward_pre_hook(lambda module, args: args[0] * 2 - 1)
    mean, var = model(x)
    z = (y - mean) / var.sqrt()
    loss = loss_fn(mean, y, var)
    model.zero_grad()
    loss.backward(retain_graph=True)
    loss.backward()
    return first, last, z.std(ddof=1).item(), model.mean.bias.grad.item(), activations["h"].shape


# fmt: on


def changed_lines(there: Callable[..., Any], here: Callable[..., Any]) -> int:
    """Count the lines of a script for PyTorch, and those of them that are others here or are gone; and print them."""
    sources = [textwrap.dedent(inspect.getsource(script)).splitlines()[1:] for script in (there, here)]
    matcher = difflib.SequenceMatcher(None, *sources, autojunk=False)
    lines = [line for line in difflib.unified_diff(*sources, lineterm="", n=0) if not line.startswith(("---", "+++"))]
    same = sum(block.size for block in matcher.get_matching_blocks())
    changed, count = len(sources[0]) - same, len(sources[0])
    print(f"{changed} of {count} lines differ:", *lines, sep="\n")
    return changed


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
    changed = changed_lines(classifier_there, classifier_here)
    assert changed <= 11


def transposed(arrays: dict[str, Any]) -> dict[str, Any]:
    """Give PyTorch's tensors of arrays: weights lie transposed there."""
    torch = pytest.importorskip("torch")
    return {name.replace("layers.0", "0"): torch.from_numpy(array.T.copy()) for name, array in arrays.items()}


def test_an_autoencoder_with_shared_weights() -> None:
    X = np.random.default_rng(0).random((50, 64))
    start = {
        "layers.0.weight": nn.init.xavier_uniform((64, 16), rng=0),
        "layers.1.weight": nn.init.xavier_uniform((16, 4), rng=1),
        "extra": np.ones(1),
    }
    theirs = autoencoder_there(X, dict(zip(start, transposed(start).values(), strict=True)))
    ours = autoencoder_here(X, start)
    np.testing.assert_allclose(ours[0], theirs[0], atol=1e-5, rtol=0)
    np.testing.assert_allclose(ours[1], theirs[1], atol=1e-5, rtol=0)
    assert ours[2:4] == pytest.approx(theirs[2:4], abs=1e-5)
    assert ours[4:] == theirs[4:] == (30, 1192, 6, ["extra"])
    changed = changed_lines(autoencoder_there, autoencoder_here)
    assert changed <= 20


def test_a_regression_of_mean_and_variance() -> None:
    rng = np.random.default_rng(0)
    x = rng.random(80)
    y = np.sin(6 * x) + 0.3 * x * rng.normal(size=80)
    shapes = {"body.layers.0": (1, 4), "mean": (4, 1), "log_var": (4, 1)}
    start = {f"{path}.weight": nn.init.xavier_uniform(shape, rng=rng, dtype=float) for path, shape in shapes.items()}
    start |= {f"{path}.bias": np.zeros(shape[1]) for path, shape in shapes.items()}
    first, last, deviation, gradient, shape = regression_here(x, y, start)
    their_first, their_last, their_deviation, their_gradient, their_shape = regression_there(x, y, transposed(start))
    assert first == pytest.approx(their_first, rel=1e-12)
    assert last == pytest.approx(their_last, abs=1e-9)
    assert deviation == pytest.approx(their_deviation, abs=1e-6)
    assert gradient == pytest.approx(their_gradient, abs=1e-6)
    assert shape == tuple(their_shape) == (80, 4)
    changed = changed_lines(regression_there, regression_here)
    assert changed <= 16
