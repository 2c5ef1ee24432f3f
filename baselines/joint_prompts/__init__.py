"""Methods whose learned vectors stand in both encoders of a model."""
