"""The suite that `new-suite` writes for labelled pictures: a few methods on a nano model with two encoders."""

from pathlib import Path

from cones.data.labelled import MOST_SHOTS

TABLE, NANO, REAL = "survey", "clip_nano", "clip_vit_b16"
ARMS = ("zero_shot", "linear_probing", "taskres", "tip_adapter", "cones")
SHOTS = (1, 2, 4, 8, MOST_SHOTS)
SUITE = """\
# {paper_name}, as `python -m cones new-suite` found it. The dataset: {entry}
#   snakemake --cores all results/{table}.csv --config suite={name}
#   python -m cones show results/{name}/{table}.csv
suite: {name}
title: {title}
source: official  # the files themselves; `miniature` are drawn ones
registry: [{entry}]
classification:  # docs/classification.md
  # {nano} is no CLIP: 2 million values, pictures of 64 pixels, trained on drawn pictures. It shows that all of this
  # works on your pictures, not what CLIP knows of them. The real thing is {real}, whose checkpoint is fetched: name it
  # here, and change `title`. `python -m cones plan --suite {name}` then says how large it is; a GPU helps.
  models: [{nano}]
  datasets: [{name}]
  seeds: [1, 2, 3]  # which pictures are drawn to learn from
  arms: [{arms}]  # any method of docs/methods.md that classifies
  grids:
    {table}: {{shots: [{most}]}}  # pictures a class to learn from{why}
{few_shot}"""
FEW_SHOT = """\
    survey_few_shot: {{shots: [{shots}], on_request: true}}  # snakemake --cores all results/survey_few_shot.csv …
"""


def most_shots(smallest: int) -> int:
    """The largest few-shot setting for which a class with `smallest` training pictures has enough; 1 at least."""
    return max((shots for shots in SHOTS if shots <= smallest), default=SHOTS[0])


def labelled_suite(*, name: str, paper_name: str, title: str, entry: Path, smallest: int | None) -> str:
    """The text of the suite. `smallest` is the number of training pictures of the class that has fewest; None where
    the pictures could not be counted, and then all of 16 are asked for: a class that has fewer gives all it has."""
    most = MOST_SHOTS if smallest is None else most_shots(smallest)
    why = "" if smallest is None or smallest >= MOST_SHOTS else f": the smallest class has {smallest} to train on"
    shots = ", ".join(str(number) for number in SHOTS if number <= most)
    return SUITE.format(
        name=name,
        paper_name=paper_name,
        title=title,
        entry=entry.as_posix(),
        table=TABLE,
        nano=NANO,
        real=REAL,
        arms=", ".join(ARMS),
        most=most,
        why=why,
        few_shot=FEW_SHOT.format(shots=shots) if most > 1 else "",
    )
