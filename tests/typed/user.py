"""What a user writes, and what type checkers are to make of it: a comment behind reveal_type says the type."""

from typing import Any, reveal_type

import numpy as np

import autodiff as ad
import nn

x = ad.Tensor([1.0, 2.0])
W = ad.Tensor(np.ones((2, 3)), name="W")

# Operators and methods
reveal_type(x * 2)  # Tensor
reveal_type(2 * x)  # Tensor
reveal_type(2.0 - x)  # Tensor
reveal_type(x**2)  # Tensor
reveal_type(-x)  # Tensor
reveal_type(abs(x))  # Tensor
reveal_type(x @ W)  # Tensor
reveal_type(x / W)  # Tensor
reveal_type(x.sum())  # Tensor
reveal_type(x.sum(axis=0, keepdims=True))  # Tensor
reveal_type(x.mean(axis=(0, 1)))  # Tensor
reveal_type(x.max(0))  # Tensor
reveal_type(x.cumsum(0))  # Tensor
reveal_type(x.reshape(2, 1).T)  # Tensor
reveal_type(x[0])  # Tensor
reveal_type(x.tanh())  # Tensor
reveal_type(x.at[0].set(1.0))  # Tensor
reveal_type(x.detach())  # Tensor
reveal_type(list(x))  # list[Tensor]
reveal_type(x.shape)  # tuple[int, ...]
reveal_type(float(x.sum()))  # float
reveal_type(x.backward(retain_graph=True))  # None

# What NumPy's functions give is no error where it is used as a Tensor
y: ad.Tensor = np.tanh(x)
y = np.maximum(x, 0)
y = np.exp(x) * x
y = np.sum(x)
np.sum(np.sin(x) * W).backward()
np.where(x > 0, x, 0).sum().backward()
np.concatenate([x, x]).sum().backward()

# Transforms, pictures, compiled steps
reveal_type(ad.grad(np.sin)(1.0))  # Any
reveal_type(ad.draw(y))  # Drawing
reveal_type(ad.compile(lambda x: x * 2))  # Compiled
reveal_type(ad.compile(state=W, exact=True))  # ((...) -> Any) -> Compiled


@ad.compile
def doubled(x: Any) -> Any:
    """Double."""
    return x * 2


@ad.compile(state=[W], without=["lower"], backend="numba")
def changed(x: Any) -> Any:
    """Change."""
    W.data = W.data - x


reveal_type(doubled)  # Compiled
reveal_type(changed)  # Compiled
reveal_type(changed(x))  # Any
changed.save("changed.py")
hook = x.register_hook(lambda g: 2 * g)
hook.remove()
with ad.no_grad():
    reveal_type(x * x)  # Tensor

# Networks
model = nn.MLP([2, 3], activation="relu")
logits = model(np.ones((4, 2)))
reveal_type(logits)  # Tensor
reveal_type(nn.Linear(2, 3)(x))  # Tensor
loss = nn.functional.cross_entropy(logits, np.zeros(4, int))
reveal_type(loss)  # Tensor
loss.backward()
reveal_type(nn.fit(model, np.ones((4, 2)), np.zeros(4, int), loss="cross_entropy"))  # History


class Net(nn.Module):
    """A Module of one's own: its call has the types of its forward."""

    def __init__(self) -> None:
        self.body = nn.Linear(3, 2)

    def forward(self, x: Any, scale: float = 1.0) -> tuple[ad.Tensor, float]:
        """Give two things."""
        return self.body(x), scale


X = np.ones((4, 3))
reveal_type(Net()(X, scale=2.0))  # tuple[Tensor, float]
reveal_type(nn.Embedding(3, 2)(np.array([1])))  # Tensor
reveal_type(nn.functional.mse_loss(logits, X))  # Tensor
reveal_type(nn.functional.mse_loss(X, X))  # Any
reveal_type(nn.LeakyReLU(0.1).negative_slope)  # float
nn.functional.kl_div(X, X, reduction="batchmean")
nn.fit(Net(), X, X, loss=nn.functional.mse_loss, metrics=["accuracy"])

# Options that do not exist: each line is an error
nn.ReLU(1)  # error
nn.LeakyReLU("a")  # error
Net()(X, 1.0, 2)  # error
nn.functional.mse_loss(X, X, reduction="batchmean")  # error
nn.Linear(3, 2, nonlinearity="tahn")  # error
nn.GELU("tan")  # error
nn.optim.ReduceLROnPlateau(nn.optim.SGD(Net().parameters()), mode="least")  # error
nn.optim.minimize(lambda: ad.Tensor(1.0), [], "bfgs")  # error
nn.MLP([2, 3], activation="rleu")  # error
nn.functional.mse_loss(logits, logits, reduction="avg")  # error
nn.fit(model, np.ones((4, 2)), np.zeros(4, int), loss="cross")  # error
ad.compile(W, backend=3)  # error
ad.compile(status=W)  # error
x.backwards()  # error
ad.gard(np.sin)  # error
