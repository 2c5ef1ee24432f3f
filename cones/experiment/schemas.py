"""The typed config and registry as JSON schemas, kept in `config/` so that editors and people can read them."""

from pathlib import Path

from cones.data.registry import Dataset
from cones.experiment.suite import CONFIG_FOLDER, Suite
from cones.runtime.artifacts import write_json


def schemas() -> dict[Path, dict]:
    """{file: schema}; a registry maps ids to entries, and the id is the key."""
    entry = Dataset.model_json_schema()
    entry["properties"].pop("id")
    entry["required"].remove("id")
    definitions = entry.pop("$defs")
    variant = {**entry, "title": "Variant", "required": ["variant_of"]}
    either = {"anyOf": [entry, variant]}
    registry = {"$defs": definitions, "title": "Registry", "type": "object", "additionalProperties": either}
    return {
        CONFIG_FOLDER / "suite.schema.json": Suite.model_json_schema(),
        CONFIG_FOLDER / "datasets.schema.json": registry,
    }


def write_schemas() -> None:
    for path, schema in schemas().items():
        write_json(path, schema)
