"""`python -m cones`."""

from cones.cli import main

main()
