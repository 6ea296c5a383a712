"""Multi-layer perceptrons on autodiff: layers, losses, optimizers, a training loop."""

from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from autodiff.elsewhere import absent
from nn import data, distributions, functional, init, optim, parallel, plots, utils
from nn.activations import (
    ELU,
    GELU,
    Hardtanh,
    LeakyReLU,
    LogSigmoid,
    LogSoftmax,
    ReLU,
    Sigmoid,
    SiLU,
    Softmax,
    Softplus,
    Tanh,
)
from nn.containers import ModuleDict, ModuleList, Sequential
from nn.history import History
from nn.interop import from_torch, to_torch
from nn.io import load, save
from nn.layers import MLP, BatchNorm1d, Dropout, Embedding, Flatten, Identity, LayerNorm, Linear
from nn.losses import (
    BCELoss,
    BCEWithLogitsLoss,
    CrossEntropyLoss,
    GaussianNLLLoss,
    HuberLoss,
    KLDivLoss,
    L1Loss,
    MSELoss,
    NLLLoss,
    PoissonNLLLoss,
    SmoothL1Loss,
)
from nn.module import Buffer, Module, Parameter
from nn.stateless import functional_call
from nn.training import evaluate, fit

_absent = absent(__name__)

if TYPE_CHECKING:
    from nn.estimators import Classifier as Classifier
    from nn.estimators import Regressor as Regressor
else:

    def __getattr__(name: str) -> Any:
        """Import the estimators when they are asked for: scikit-learn takes its time, and may not be there."""
        if name in ("Classifier", "Regressor"):
            from nn import estimators

            return getattr(estimators, name)
        return _absent(name)


__all__ = [
    "ELU", "GELU", "MLP", "BCELoss", "BCEWithLogitsLoss", "BatchNorm1d", "Buffer", "CrossEntropyLoss", "Dropout",
    "Embedding", "Flatten", "GaussianNLLLoss", "Hardtanh", "History", "HuberLoss", "Identity", "KLDivLoss",
    "L1Loss", "LayerNorm", "LeakyReLU", "Linear", "LogSigmoid", "LogSoftmax", "MSELoss", "Module", "ModuleDict",
    "ModuleList", "NLLLoss", "Parameter", "PoissonNLLLoss", "ReLU", "Sequential", "SiLU", "Sigmoid", "SmoothL1Loss",
    "Softmax", "Softplus", "Tanh", "data", "distributions", "evaluate", "fit", "from_torch", "functional",
    "functional_call", "init", "load", "optim", "parallel", "plots", "save", "to_torch", "utils",
]  # fmt: skip
if find_spec("sklearn") is not None:  # what a star-import gives must be there
    __all__ += ["Classifier", "Regressor"]


def __dir__() -> list[str]:
    """List the public names, and not the files that they are in."""
    return sorted(__all__)
