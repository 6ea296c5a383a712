"""Chapters that run: ``python -m demos.NAME``."""
