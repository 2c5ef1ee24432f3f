"""What `python -m cones plan` reckons with for cells of classification before any has finished.

    python benchmarks/classification_costs.py

Means of the miniature's finished cells, wall time: run `snakemake --cores all results/survey.csv` on a quiet machine
before, and the same with survey_multi_label.csv and survey_dense.csv. Writes cones/forecast/classified.json.
"""

import torch

from cones.experiment.cell import RESULTS
from cones.forecast.classified import REFERENCE, ClassifiedCells
from cones.runtime.artifacts import write_json

MODELS = ("clip_nano",)


def main() -> None:
    means = ClassifiedCells(RESULTS, MODELS).means()
    models = {
        model: {
            task: {
                method: {name: round(value, 2) for name, value in cost._asdict().items()}
                for method, cost in costs.items()
            }
            for task, costs in of.items()
        }
        for model, of in means.items()
    }
    write_json(
        REFERENCE, {"made_by": "benchmarks/classification_costs.py", "torch": torch.__version__, "models": models}
    )
    told = [f"{model}, {task}: {len(costs)} methods" for model, of in models.items() for task, costs in of.items()]
    print(f"{REFERENCE.name}: {'; '.join(told)}")


if __name__ == "__main__":
    main()
