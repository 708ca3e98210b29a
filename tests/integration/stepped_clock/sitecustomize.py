"""On the import path of a worker: its clock is wrong by what a file says, and the file may change.

Only `time.time` is: like the clock of a machine that is set while it runs, with the monotonic clock
going on as before.
"""

import os
import time

_true_time = time.time
_file = os.environ["QUINCE_TEST_CLOCK"]


def _stepped_time() -> float:
    with open(_file) as file:  # noqa: PTH123 - imported before everything else
        return _true_time() + float(file.read())


time.time = _stepped_time
