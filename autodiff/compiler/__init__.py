"""A step as a program: recorded, simplified, written down as source, and run."""

from autodiff.compiler.compiled import Compiled, compile

__all__ = ["Compiled", "compile"]
