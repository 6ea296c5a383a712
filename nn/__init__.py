"""Multi-layer perceptrons on autodiff: layers, losses, optimizers, a training loop."""

from nn import data, functional, init, optim
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
from nn.io import load, save
from nn.layers import MLP, BatchNorm1d, Dropout, Embedding, Flatten, Identity, LayerNorm, Linear, Sequential
from nn.module import Buffer, Module, Parameter
from nn.training import History, evaluate, fit

__all__ = [
    "ELU",
    "GELU",
    "MLP",
    "BatchNorm1d",
    "Buffer",
    "Dropout",
    "Embedding",
    "Flatten",
    "Hardtanh",
    "History",
    "Identity",
    "LayerNorm",
    "LeakyReLU",
    "Linear",
    "LogSigmoid",
    "LogSoftmax",
    "Module",
    "Parameter",
    "ReLU",
    "Sequential",
    "SiLU",
    "Sigmoid",
    "Softmax",
    "Softplus",
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
