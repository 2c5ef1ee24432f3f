"""What decides whether a step runs again: the digest of its code, and what config, registry and user say.

Plain functions of the plan that know no Snakemake.
"""

import hashlib
import json
import os
from pathlib import Path

from cones.data.download import own_folder
from cones.data.formats import FORMATS
from cones.data.providers import Providers
from cones.data.registry import DRAWN
from cones.data.splits import LISTS
from cones.data.trees import files_below
from cones.experiment.cell import Plan
from cones.experiment.step import Job
from cones.methods.method import METHODS
from cones.models.family import family_of, model_names
from cones.models.generators import OWN_OF_SHIPPED, SHIPPED
from cones.runtime.provenance import code_digest, settings_digest
from cones.weights.official import official_files
from cones.weights.pretrained import pretrained_models, weight_files

# step -> the module whose sources, with all that it imports, are the core of the step's code; what it imports by name
# (a method, a model family, a dataset format) is added for each job: only the jobs that chose it depend on it
CODE_OF = {
    "draw": "cones.miniature.archives",
    "fetch": "cones.data.download",
    "prepare": "cones.data.prepare",
    "checkpoint": "cones.weights.official",
    "weights": "cones.steps.weights",
    "pretrain": "cones.steps.pretrain",
    "text_states": "cones.steps.text",
    "features": "cones.steps.features",
    "tune": "cones.steps.tune",
    "evaluate": "cones.steps.evaluate",
    "embed": "cones.steps.embed",
    "find_pretrained": "cones.weights.pretrained",
    "encode_nouns": "cones.training.subjects.loading",
    "look_at_real_pictures": "cones.weights.extractors",
    "learn_subject": "cones.training.subjects.learning",
    "draw_subject": "cones.training.subjects.generator",
    "score_subject": "cones.steps.generation",
}


PLANNED = "CONES_CODE"  # {modules: their digest}, which a run tells its steps: sources take half a second to read


def code(plan: Plan, job: Job) -> str:
    """Digest of a job's code: its step's, and that of the modules which its cell, dataset or model chooses.

    A step of a run, which works with the library of that run or not at all (`CONES_LIBRARY`), believes what it is told.
    """
    modules = code_modules(plan, job)
    return json.loads(os.environ.get(PLANNED, "{}")).get(" ".join(modules)) or code_digest(*modules)


def code_modules(plan: Plan, job: Job) -> tuple[str, ...]:
    return CODE_OF[job.step], *chosen_modules(plan, job)


def chosen_modules(plan: Plan, job: Job) -> tuple[str, ...]:
    """What a job chooses among many of a kind; an edit of what it did not choose leaves it alone."""
    if job.step == "prepare":
        return (FORMATS.module(plan.registry[job.dataset].source(plan.suite.source).format.name),)
    if job.step == "weights":
        return (family_of(model_of(plan, job.weights)).module,)
    if job.step in ("text_states", "features"):
        return (family_of(job.model).module,)
    if job.step in ("tune", "evaluate", "embed"):
        return plan.method(job.arm).module, family_of(job.model).module
    if job.step in ("look_at_real_pictures", "score_subject") and plan.generation.model == SHIPPED:
        return (OWN_OF_SHIPPED,)
    if job.step == "learn_subject":
        return (METHODS[plan.generation.method(job.arm)].context.partition(":")[0],)
    return ()


def model_of(plan: Plan, weights: str) -> str:
    """Whose base weights a file holds, by its stem."""
    return next(model for model in plan.suite.models if plan.weights(model).stem == weights)


def pretraining_code(model: str) -> str:
    """Digest of the code that pretrains a model: with that of its family, where it detects."""
    chosen = (family_of(model).module,) if model in model_names() else ()
    return code_digest(CODE_OF["pretrain"], *chosen)


# ------------------------------------------------------------------------------------------------------------- data


def dataset_entry(plan: Plan, source: str, dataset: str) -> dict:
    """What the registry says of a dataset, of its sources only the one that is used, and the lists of pictures that its
    split rule names."""
    entry = plan.registry[dataset]
    used = entry.source(source)
    names = sorted(set(used.split.lists.values()))
    lists = {name: path.read_text(encoding="utf-8") for name in names if (path := LISTS / name).is_file()}
    return {
        **entry.model_dump(mode="json", exclude={"sources"}),
        "sources": {source: used.model_dump(mode="json")},
        "lists": {name: settings_digest(text) for name, text in lists.items()},
    }


def files_given(plan: Plan, source: str, dataset: str) -> str:
    """What lies in a dataset's mirror, drop or own folder: name, size and time of every file at any depth, those of
    linked folders too. Empty where the project draws the files, or there are none."""
    if source == DRAWN:
        return ""
    mirror, data = plan.suite.mirror, Path(plan.suite.data_dir)
    own = own_folder(plan.registry[dataset].source(source))
    folder = own or (Path(mirror) / dataset if mirror else data / "drop" / dataset)
    seen = [(name, status.st_size, status.st_mtime_ns) for name, _, status in files_below(folder)]
    return hashlib.sha256(repr(seen).encode()).hexdigest()[:12] if seen else ""


def credentials_missing(plan: Plan, providers: Providers, source: str, dataset: str) -> str:
    """What the user has not given for a dataset (never what was given): a new token re-triggers fetch."""
    archives = plan.registry[dataset].source(source).archives
    missing = [providers.missing(archive.urls) for archive in archives if not plan.suite.mirror]
    return " ".join(sorted({one.status for one in missing if one}))


# ----------------------------------------------------------------------------------------------------------- models


def official_file(name: str) -> str:
    """Where an official file is and what its bytes must be; nothing for a name that no list holds."""
    return settings_digest(official_files().get(name))


def shared_views(plan: Plan, model: str, dataset: str) -> dict | None:
    """What decides which views have their image features computed, and how many fit; None where none are shared."""
    if plan.features(model, dataset) is None:
        return None
    cells = plan.sharing[model, dataset]
    settings = sorted({settings_digest(plan.settings(cell).tuning) for cell in cells})
    return {"tuning": settings, "budget": plan.feature_budget()}


def pretrained_given(name: str) -> str:
    """Where the user says a pretrained model lies and what is there; its revision, where it comes from the hub."""
    if name == SHIPPED:
        return ""
    entry = pretrained_models()[name]
    folder = os.environ.get(entry.env, "")
    paths = weight_files(Path(folder)) if folder else []
    seen = [(str(path), path.stat().st_size, path.stat().st_mtime_ns) for path in paths]
    return settings_digest([folder, entry.revision, seen])
