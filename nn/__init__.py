"""Multi-layer perceptrons on autodiff: layers, losses, optimizers, a training loop."""

from nn import data, functional, init, optim
from nn.io import load, save
from nn.layers import MLP, Dropout, Linear, ReLU, Sequential, Sigmoid, Softmax, Tanh
from nn.module import Module, Parameter
from nn.training import History, evaluate, fit

__all__ = [
    "MLP",
    "Dropout",
    "History",
    "Linear",
    "Module",
    "Parameter",
    "ReLU",
    "Sequential",
    "Sigmoid",
    "Softmax",
    "Tanh",
    "data",
    "evaluate",
    "fit",
    "functional",
    "init",
    "load",
    "optim",
    "save",
]
