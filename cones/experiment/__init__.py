"""The experiment: what a suite asks for, and the steps that make it."""
