"""UNINEXT: queries scored against every word of a text, with a box, a quality and a mask each."""
