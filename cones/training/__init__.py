"""One training loop for everything that learns: detectors, subjects and the pretraining of the small models."""
