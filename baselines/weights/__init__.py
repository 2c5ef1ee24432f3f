"""Methods that tune weights of the model or of its head."""
