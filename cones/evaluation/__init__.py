"""Scores: COCO AP behind a gate, parameter counts, statistics over seeds."""
