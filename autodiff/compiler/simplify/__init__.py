"""A program becomes another one that gives the same, with fewer or faster calls."""
