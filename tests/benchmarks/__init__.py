"""Benchmarks against other libraries: ``python -m tests.benchmarks --help``.

``ladder`` times a training step of four networks, ``operation`` the cost of recording one small operation, ``chain``
shows that time and memory grow linearly with the length of the graph. Every measurement runs in a process of its own
(``worker``), and what a contender computes is checked before it is timed. Nothing here is imported by the library.
"""
