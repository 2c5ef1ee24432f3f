"""Pretraining of `clip_nano`: painted pictures, what is said of them, and the contrastive loss over both."""
