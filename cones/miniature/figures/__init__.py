"""What can be drawn: figures by kind, and `cones/miniature/objects.py`, which knows them by class name."""
