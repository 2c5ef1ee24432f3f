"""ConES: concept embedding search for vision-language models, and the harness that checks it (arXiv 2305.18993).

In Python: `cones.tune(…)`, `cones.evaluate(…)`, `cones.predict(…)`; docs/python.md. They are imported by name when
first used, so that `import cones` costs nothing and no step's code digest counts them.
"""

__version__ = "0.1.0"
CALLS = ("tune", "evaluate", "predict")


def __getattr__(name: str) -> object:
    if name in CALLS:
        import importlib

        return getattr(importlib.import_module("cones.steps.calls"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted([*globals(), *CALLS])
