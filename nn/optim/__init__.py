"""Optimizers, schedules of their learning rate, clipping of gradients, and SciPy's full-batch methods."""

from nn.optim.base import Optimizer
from nn.optim.clipping import clip_grad_norm_, clip_grad_value_
from nn.optim.fullbatch import minimize
from nn.optim.optimizers import SGD, Adagrad, Adam, AdamW, RMSprop
from nn.optim.schedules import CosineAnnealingLR, ExponentialLR, LinearWarmup, ReduceLROnPlateau, Schedule, StepLR

__all__ = [
    "SGD",
    "Adagrad",
    "Adam",
    "AdamW",
    "CosineAnnealingLR",
    "ExponentialLR",
    "LinearWarmup",
    "Optimizer",
    "RMSprop",
    "ReduceLROnPlateau",
    "Schedule",
    "StepLR",
    "clip_grad_norm_",
    "clip_grad_value_",
    "minimize",
]
