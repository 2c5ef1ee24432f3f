"""Methods whose learned vectors join the picture or the sequence of the image encoder."""
