"""What decides whether a step runs again: the digests of its code, settings, registry entry and files of the user.

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
    "elsewhere": "cones.steps.elsewhere",
    "embed": "cones.steps.embed",
    "preview": "cones.steps.preview",
    "find_pretrained": "cones.weights.pretrained",
    "encode_nouns": "cones.training.subjects.loading",
    "look_at_real_pictures": "cones.weights.extractors",
    "learn_subject": "cones.training.subjects.learning",
    "draw_subject": "cones.training.subjects.generator",
    "score_subject": "cones.steps.generation",
    "encode_images": "cones.steps.encode_images",
    "self_supervise": "cones.steps.self_supervise",
    "classify": "cones.steps.classified_cell",
}


PLANNED = "CONES_CODE"  # {modules: their digest}, passed by a run to its steps: sources take half a second to read


def code(plan: Plan, job: Job) -> str:
    """Digest of a job's code: its step's module, and the modules that its cell, dataset or model chooses.

    A step started by a run takes the digest from the environment: it uses the library of that run or stops
    (`CONES_LIBRARY`).
    """
    modules = code_modules(plan, job)
    return json.loads(os.environ.get(PLANNED, "{}")).get(" ".join(modules)) or code_digest(*modules)


def code_modules(plan: Plan, job: Job) -> tuple[str, ...]:
    return CODE_OF[job.step], *chosen_modules(plan, job)


def chosen_modules(plan: Plan, job: Job) -> tuple[str, ...]:
    """The modules of the method, model family or dataset format of a job; an edit of another one does not re-run it."""
    if job.step == "prepare":
        return (FORMATS.module(plan.registry[job.dataset].source(plan.suite.source).format.name),)
    if job.step == "weights":
        return (family_of(model_of(plan, job.weights)).module,)
    if job.step in ("text_states", "features", "encode_images"):
        return (family_of(job.model).module,)
    if job.step in ("tune", "evaluate", "elsewhere", "embed"):
        return plan.method(job.arm).module, family_of(job.model).module
    if job.step == "classify":
        return METHODS[plan.classification.method(job.arm)].module, family_of(job.model).module
    if job.step in ("look_at_real_pictures", "score_subject") and plan.generation.model == SHIPPED:
        return (OWN_OF_SHIPPED,)
    if job.step == "learn_subject":
        return (METHODS[plan.generation.method(job.arm)].context.partition(":")[0],)
    return ()


def model_of(plan: Plan, weights: str) -> str:
    """The model whose base weights a file holds, by the file's stem."""
    return next(model for model in plan.suite.all_models if plan.weights(model).stem == weights)


def pretraining_code(model: str) -> str:
    """Digest of the code that pretrains a model; of a detector it includes the model family."""
    chosen = (family_of(model).module,) if model in model_names() else ()
    return code_digest(CODE_OF["pretrain"], *chosen)


# ------------------------------------------------------------------------------------------------------------- data


def dataset_entry(plan: Plan, source: str, dataset: str) -> dict:
    """The registry entry of a dataset with the one source that is used, and digests of the image lists that its split
    rule names."""
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
    """Digest of the files in a dataset's mirror, drop or own folder: name, size and time of each, at any depth and in
    linked folders. Empty where the project draws the files, or there are none."""
    if source == DRAWN:
        return ""
    mirror, data = plan.suite.mirror, Path(plan.suite.data_dir)
    entry = plan.registry[dataset]
    own = own_folder(entry.source(source))
    folder = own or (Path(mirror) / entry.original if mirror else data / "drop" / entry.original)
    seen = [(name, status.st_size, status.st_mtime_ns) for name, _, status in files_below(folder)]
    return hashlib.sha256(repr(seen).encode()).hexdigest()[:12] if seen else ""


def credentials_missing(plan: Plan, providers: Providers, source: str, dataset: str) -> str:
    """The credentials that a dataset needs and the user has not given: once they are there, fetch runs again."""
    archives = plan.registry[dataset].source(source).archives
    missing = [providers.missing(archive.urls) for archive in archives if not plan.suite.mirror]
    return " ".join(sorted({credential.status for credential in missing if credential}))


# ----------------------------------------------------------------------------------------------------------- models


def official_file(name: str) -> str:
    """Digest of the address and checksum of an official file, or of None for a name that no list holds."""
    return settings_digest(official_files().get(name))


def shared_views(plan: Plan, model: str, dataset: str) -> dict | None:
    """What decides which views have their image features computed and how many fit; None if no features are shared."""
    if plan.features(model, dataset) is None:
        return None
    cells = plan.sharing[model, dataset]
    settings = sorted({settings_digest(plan.settings(cell).tuning) for cell in cells})
    of_model = plan.settings(cells[0])
    precisions = [of_model.precision, of_model.scoring_precision]
    views = {"test_short_side": of_model.test_short_side, "pictures": of_model.pictures}
    return {"tuning": settings, "budget": plan.feature_budget(), "precisions": precisions, **views}


def pretrained_given(name: str) -> str:
    """Digest of a pretrained model's folder given by the user, its files there, and its revision on the hub."""
    if name == SHIPPED:
        return ""
    entry = pretrained_models()[name]
    folder = os.environ.get(entry.env, "")
    paths = weight_files(Path(folder)) if folder else []
    seen = [(str(path), path.stat().st_size, path.stat().st_mtime_ns) for path in paths]
    return settings_digest([folder, entry.revision, seen])
