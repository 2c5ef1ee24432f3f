"""Personalised generation: learning a subject with Stable Diffusion, and drawing it."""
