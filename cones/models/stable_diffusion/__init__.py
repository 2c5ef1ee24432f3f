"""Stable Diffusion behind the `Generator` seam: class-name prompting, textual inversion and ConES."""
