"""What pytest is told about this folder."""

import os

collect_ignore = ["typed"]  # user code for type checkers, which is not to be run
os.environ["TQDM_DISABLE"] = "1"  # the progress of a training is for a reader
