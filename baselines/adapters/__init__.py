"""Small modules and vectors behind frozen encoders, tuned on a few images."""
