"""Results that a test has made up count as made by the plan."""

from cones.experiment.cell import Plan
from cones.experiment.made_of import made_of, write_record
from cones.experiment.pipeline import Pipeline


def made_by(plan: Plan) -> None:
    """Record of every file that is there that it is what `plan` would make."""
    pipeline = Pipeline(plan)
    for job in pipeline.all_jobs():
        if pipeline.last_file(job).exists():
            write_record(pipeline, job, made_of(pipeline, job))
