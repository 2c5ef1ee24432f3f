"""What decides whether a step runs again: digests of its code, its settings and what lies outside of the workflow.

Plain functions of the plan that know no Snakemake. Each returns a short string; the rules hold them as `params` values.
"""

import hashlib
import os
from pathlib import Path

from cones.cell import Cell, Plan, settings_digest
from cones.data.converters import FORMATS
from cones.data.download import own_folder
from cones.data.providers import Providers
from cones.data.registry import DRAWN
from cones.data.splits import LISTS
from cones.generation import SHIPPED
from cones.methods import METHODS
from cones.models.family import family_of
from cones.models.official import official_files
from cones.models.pretrained import pretrained_models, weight_files
from cones.provenance import code_digest

# step -> the module whose sources, with all that it imports, are the core of the step's code; what it imports by name
# (a method, a model family, a dataset format) is added for each job: only the jobs that chose it depend on it
CODE_OF = {
    "draw": "cones.miniature.archives",
    "fetch": "cones.data.download",
    "prepare": "cones.data.prepare",
    "checkpoint": "cones.models.official",
    "weights": "cones.steps.weights",
    "pretrain": "cones.steps.pretrain",
    "text_states": "cones.steps.text",
    "features": "cones.steps.features",
    "tune": "cones.steps.tune",
    "evaluate": "cones.steps.evaluate",
    "embed": "cones.steps.embed",
    "find_pretrained": "cones.models.pretrained",
    "encode_nouns": "cones.models.stable_diffusion.loading",
    "look_at_real_pictures": "cones.models.features.loading",
    "learn_subject": "cones.models.stable_diffusion.learning",
    "draw_subject": "cones.models.stable_diffusion.generator",
    "score_subject": "cones.steps.generation",
}


def step_code(step: str, *chosen: str) -> str:
    """Digest of a step's code, and of the modules that were `chosen` for it, such as a method's."""
    return code_digest(CODE_OF[step], *chosen)


# ------------------------------------------------------------------------------------------------------------- data


def dataset_entry(plan: Plan, dataset: str) -> str:
    """What the registry says of a dataset, and the lists of pictures that its split rules name."""
    entry = plan.registry[dataset]
    names = sorted({name for source in entry.sources.values() for name in source.split.lists.values()})
    lists = [path.read_text(encoding="utf-8") for name in names if (path := LISTS / name).is_file()]
    return settings_digest([entry.model_dump(mode="json"), lists])


def prepare(plan: Plan, source: str, dataset: str) -> str:
    """The code that prepares a dataset: with the converter of its format, and no other."""
    return step_code("prepare", FORMATS.module(plan.registry[dataset].source(source).format.name))


def files_given(plan: Plan, source: str, dataset: str) -> str:
    """What lies in a dataset's mirror, drop or own folder, by name, size and time: a change re-triggers fetch."""
    mirror, data = plan.suite.mirror, Path(plan.suite.data_dir)
    folder = Path(mirror) / dataset if mirror else data / "drop" / dataset
    own = own_folder(plan.registry[dataset].source(source))
    paths = sorted(own.rglob("*")) if own else sorted(folder.glob("*"))
    if source == DRAWN or not paths:
        return ""
    seen = [(path.name, path.stat().st_size, path.stat().st_mtime_ns) for path in paths if path.exists()]
    return hashlib.sha256(repr(seen).encode()).hexdigest()[:12]


def credentials_missing(plan: Plan, providers: Providers, source: str, dataset: str) -> str:
    """What the user has not given for a dataset (never what was given): a new token re-triggers fetch."""
    archives = plan.registry[dataset].source(source).archives
    missing = [providers.missing(archive.urls) for archive in archives if not plan.suite.mirror]
    return " ".join(sorted({one.status for one in missing if one}))


# ----------------------------------------------------------------------------------------------------------- models


def official_file(name: str) -> str:
    """Where an official file is and what its bytes must be; nothing for a name that no list holds."""
    return settings_digest(official_files().get(name))


def model_code(step: str, model: str) -> str:
    """The code of a step that builds a model: with that of its family."""
    return step_code(step, family_of(model).module)


# ------------------------------------------------------------------------------------------------------------ cells


def features(plan: Plan, model: str, dataset: str) -> str:
    """What decides which views are computed, how many fit, and how."""
    cells = plan.sharing[model, dataset]
    settings = sorted({settings_digest(plan.settings(cell).tuning) for cell in cells})
    return settings_digest([settings, plan.feature_budget(), model_code("features", model)])


def tune(plan: Plan, cell: Cell) -> str:
    """Settings of the cell, and the code of the loop, of its method and of its model's family."""
    method = plan.method(cell.arm)
    settings = settings_digest([plan.settings(cell).model_dump(mode="json"), method.of_cells])
    return f"{settings}-{cell_code('tune', plan, cell)}"


def cell_code(step: str, plan: Plan, cell: Cell) -> str:
    """The code of a step that works on a cell: with its method and its model's family."""
    return step_code(step, plan.method(cell.arm).module, family_of(cell.model).module)


def shown(plan: Plan, grid: str) -> str:
    """How tables show the methods of a grid: their labels and blocks, which no cell depends on."""
    _, _, arms = plan.suite.grid(grid)
    methods = {plan.method(arm) for arm in arms}
    return settings_digest(sorted([entry.name, entry.label, entry.block] for entry in methods))


# ------------------------------------------------------------------------------------------------------- generation


def learning(plan: Plan, arm: str) -> str:
    """How a subject is learnt, and the code of the loop and of the arm's method."""
    generation = plan.suite.generation
    method = METHODS[generation.method(arm)]
    context = method.context.partition(":")[0]
    settings = settings_digest([generation.settings(arm).model_dump(mode="json"), method.of_cells])
    return f"{settings}-{step_code('learn_subject', context)}"


def pretrained_given(name: str) -> str:
    """Where the user says a pretrained model lies and what is there; its revision, where it comes from the hub."""
    if name == SHIPPED:
        return ""
    entry = pretrained_models()[name]
    folder = os.environ.get(entry.env, "")
    paths = weight_files(Path(folder)) if folder else []
    seen = [(str(path), path.stat().st_size, path.stat().st_mtime_ns) for path in paths]
    return settings_digest([folder, entry.revision, seen])
