"""Grounding DINO, MM-Grounding-DINO, LLMDet: queries scored against every row of a text of separate phrases."""
