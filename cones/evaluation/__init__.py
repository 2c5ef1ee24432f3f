"""Scores: COCO AP behind a gate, likeness of pictures, statistics over seeds, subjects and images."""
