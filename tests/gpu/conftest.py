"""What is in `on_device` needs a GPU or a pretended one: `test_rehearsal.py` runs it in a process that has it."""

import os

from tests.gpu.device import VARIABLE

collect_ignore = [] if VARIABLE in os.environ else ["on_device"]
