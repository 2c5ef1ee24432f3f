"""The interface of tuning methods, their registry, and the prompts that make a model's language features."""
