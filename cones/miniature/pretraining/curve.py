"""Where a pretraining stands, and its curves: losses as means over a few hundred steps, scores on validation scenes."""

from dataclasses import dataclass, field

from cones.runtime.progress import log
from cones.training.loop import Progress

STEPS_PER_POINT = 250


@dataclass
class PretrainingRun(Progress):
    """`curve` holds means over `STEPS_PER_POINT` steps, `sums` are of the steps since its last point; `validation` has
    scores, where a recipe asks for them."""

    sums: dict[str, float] = field(default_factory=dict)
    curve: list[dict[str, float]] = field(default_factory=list)
    validation: list[dict[str, float]] = field(default_factory=list)

    def add(self, losses: dict[str, float], *, batch_size: int, digits: int, label: str) -> None:
        """The losses {term: value} of the step that has just been finished."""
        for name, value in losses.items():
            self.sums[name] = self.sums.get(name, 0.0) + value
        if self.step % STEPS_PER_POINT == 0:
            means = {name: round(value / STEPS_PER_POINT, digits) for name, value in self.sums.items()}
            self.curve.append({"images": self.step * batch_size, **means})
            self.sums = {}
            log.info("%s: %d images: %s", label, self.step * batch_size, means)
