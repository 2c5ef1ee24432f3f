"""ConES: concept embedding search for vision-language models, and the harness that checks it (arXiv 2305.18993)."""

__version__ = "0.1.0"
