"""Pretraining of the miniature world's models, from painted scenes with captions."""
