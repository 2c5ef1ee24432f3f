"""`python -m cones elsewhere`: a tuned cell meets the classes of other datasets."""

from cones.cli.options import (
    ArmOption,
    DatasetOption,
    ModelOption,
    SeedOption,
    SetOption,
    SuiteOption,
    load_plan,
    recorded,
)


def elsewhere(
    model: ModelOption,
    dataset: DatasetOption,
    arm: ArmOption,
    seed: SeedOption = 0,
    suite: SuiteOption = "miniature",
    overrides: SetOption = "{}",
) -> None:
    """Score a tuned cell on the other datasets that its grid names, by their class names."""
    from cones.steps.elsewhere import score_elsewhere

    plan = load_plan(suite, overrides)
    cell = plan.cell(model, dataset, arm, seed)
    with recorded(plan, "elsewhere", model=model, dataset=dataset, arm=arm, seed=seed):
        score_elsewhere(plan, cell)
