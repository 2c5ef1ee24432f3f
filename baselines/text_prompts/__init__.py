"""Methods whose learned vectors stand at the input of the text encoder of a model with two encoders."""
