"""Drawn sets of pictures that are named as a whole: a painter each, packed as the real sets are."""
