"""Optimizers, schedules of their learning rate, clipping of gradients, and SciPy's full-batch methods."""

from typing import TYPE_CHECKING

from autodiff.elsewhere import absent
from nn.optim import lr_scheduler
from nn.optim.base import Optimizer
from nn.optim.clipping import clip_grad_norm_, clip_grad_value_
from nn.optim.fullbatch import LBFGS, minimize
from nn.optim.lr_scheduler import (
    CosineAnnealingLR,
    ExponentialLR,
    LambdaLR,
    LinearWarmup,
    MultiStepLR,
    OneCycleLR,
    ReduceLROnPlateau,
    Schedule,
    SequentialLR,
    StepLR,
)
from nn.optim.optimizers import SGD, Adagrad, Adam, AdamW, RMSprop

__all__ = [
    "LBFGS",
    "SGD",
    "Adagrad",
    "Adam",
    "AdamW",
    "CosineAnnealingLR",
    "ExponentialLR",
    "LambdaLR",
    "LinearWarmup",
    "MultiStepLR",
    "OneCycleLR",
    "Optimizer",
    "RMSprop",
    "ReduceLROnPlateau",
    "Schedule",
    "SequentialLR",
    "StepLR",
    "clip_grad_norm_",
    "clip_grad_value_",
    "lr_scheduler",
    "minimize",
]

if not TYPE_CHECKING:  # or checkers took every name for one of these
    __getattr__ = absent(__name__)
