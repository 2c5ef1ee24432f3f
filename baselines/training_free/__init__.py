"""Methods that train nothing: other texts, or another way to compare them with an image."""
