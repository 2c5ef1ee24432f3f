"""The seam of tuning methods: what a method is, and how it says classes to a model."""
