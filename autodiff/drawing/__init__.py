"""Pictures of a computation: which call made what from what, of which shapes, and which gradients came back."""

from autodiff.drawing.picture import Drawing, draw

__all__ = ["Drawing", "draw"]
