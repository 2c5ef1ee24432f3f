"""`python -m cones`."""

from cones.warm import run_warm

run_warm()  # the process ends here if a warm one runs the step

from cones.cli import main  # noqa: E402
from cones.leaving import leave  # noqa: E402

try:
    main()
except SystemExit as end:
    leave(end.code)
    raise
