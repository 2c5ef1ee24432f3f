"""The command line: `python -m cones …`."""
