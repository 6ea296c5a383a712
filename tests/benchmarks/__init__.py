"""Benchmarks against other libraries: ``python -m tests.benchmarks --help``.

``ladder`` times a training step of four networks, ``compiled`` the same step and others when they are compiled,
``digits`` a whole training, ``operation`` the cost of recording one small operation, ``optimizers`` that of an
optimizer's step, ``scalars`` graphs of single numbers; ``chain`` shows that time and memory grow linearly with the
length of the graph, ``readable`` counts the statements of compiled gradients, and ``parallel`` times a step that two
processes take together. Every measurement runs in a process
of its own (``worker``), and what a contender computes is checked. Nothing here is imported by the library.
"""
