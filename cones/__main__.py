"""`python -m cones`."""

from cones.runtime.warm.client import run_warm

run_warm()  # the process ends here if a warm one runs the step

from cones.cli.main import main  # noqa: E402
from cones.runtime.warm.fast_exit import fast_exit  # noqa: E402

try:
    main()
except SystemExit as end:
    fast_exit(end.code)
    raise
