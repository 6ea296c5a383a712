"""A step as a program: recorded, simplified, planned, written as source, and bound to its state, by `pipeline`."""

from autodiff.compiler.compiled import Compiled, compile

__all__ = ["Compiled", "compile"]
