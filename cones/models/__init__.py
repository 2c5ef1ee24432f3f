"""Vision-language models behind two seams: `GroundedDetector` and, for images out, `Generator`."""
