"""What pytest is told about this folder."""

collect_ignore = ["typed"]  # user code for type checkers, which is not to be run
