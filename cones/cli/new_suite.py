"""`python -m cones new-suite my_folder`: a registry entry and a suite for a folder of your own."""

from pathlib import Path
from typing import Annotated

import typer

OBJECTS = {
    "detection": "boxes",
    "instance_segmentation": "boxes and masks",
    "classification": "one class for each picture",
}


def new_suite(
    folder: Annotated[Path, typer.Argument(help="pictures with their annotations, as some tool wrote them")],
    name: Annotated[
        str | None, typer.Option("--name", help="of dataset and suite; default: that of the folder")
    ] = None,
    format_name: Annotated[
        str | None, typer.Option("--format", help="where a folder fits several: yolo, coco, voc, labelme, cvat …")
    ] = None,
    task: Annotated[
        str | None, typer.Option("--task", help="detection or instance_segmentation; default: masks where all have one")
    ] = None,
) -> None:
    """Look into a folder, and write a dataset's entry and a suite for it; nothing is written over."""
    from cones.forecast.rates import TFLOPS
    from cones.steps.new_suite import new_suite as write_suite
    from cones.steps.plan import print_plan

    new = write_suite(folder, name=name, format_name=format_name, task=task)
    recognised = new.recognised
    objects = OBJECTS[recognised.task]
    print(f"{folder} is taken for {recognised.format['name']}, with {objects} (task: {recognised.task}):")
    for line in recognised.why:
        print(f"  {line}")
    count = len(recognised.classes)
    print(f"  {count} {'class' if count == 1 else 'classes'}: {', '.join(recognised.classes)}")
    print(f"  splits: {new.split}")
    if new.images is not None:
        counted = (
            f"{split} {images}" + (f" ({new.boxes[split]} objects)" if new.boxes else "")
            for split, images in new.images.items()
        )
        print(f"  pictures: {', '.join(counted)}")
    print("What the files do not say:")
    for line in new.unknown:
        print(f"  {line}")
    print(f"written: {new.entry} (the dataset), {new.suite} (the suite; it says which lines take a larger model)")
    if new.fault is not None:
        print(f"To mend first, the run will stop here: {new.fault}")
    print_plan(new.plan(), [new.table], datasets=[], tflops=TFLOPS, epochs=None, from_scratch=False, as_json=False)
    if recognised.task == "classification":
        print(f"{new.model} is a nano model that ships with the project, no CLIP: it shows whether all of it works.")
        print(f"The real thing is clip_vit_b16: write it under `models` in {new.suite}.")
        print(f"Run it: snakemake --cores all results/{new.table}.csv --config suite={new.name}")
        print(f"See it: python -m cones show results/{new.name}/{new.table}.csv")
        return
    picture = f"results/{new.name}/{new.model}/{new.name}/predictions.png"
    print(f"Run it: snakemake --cores all results/{new.name}/{new.table}.csv {picture} --config suite={new.name}")
