"""Functions that select elements, and those that put elements in place of others."""
