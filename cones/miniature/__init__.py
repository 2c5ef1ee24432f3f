"""The toy world of the miniature suite: painters, native archives, pretraining of the nano models."""
