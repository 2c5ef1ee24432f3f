"""Evaluation: predictions, COCO AP behind a gate, likeness of pictures, and statistics over seeds and subjects."""
