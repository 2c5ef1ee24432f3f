"""The JSON and XML files of a folder, each read once, with what is no JSON or XML left to the format's own reader."""

import xml.etree.ElementTree as ElementTree
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from cones.data.formats.reading import read_json, read_xml
from cones.data.recognise.layout import Tree
from cones.runtime.errors import ConesError


def json_files(tree: Tree) -> Iterator[tuple[Path, Any]]:
    """(file, content) of every JSON file that can be read."""
    for file in tree.with_suffix(".json"):
        try:
            yield file, read_json(file, tree.native)
        except ConesError:
            continue


def xml_files(tree: Tree) -> Iterator[tuple[Path, ElementTree.Element]]:
    """(file, root element) of every XML file that can be read."""
    for file in tree.with_suffix(".xml"):
        try:
            yield file, read_xml(file, tree.native)
        except ConesError:
            continue


def common_folders(files: list[Path]) -> list[Path]:
    """The folders of files, without those that lie in another one of them."""
    folders = {file.parent for file in files}
    return sorted(place for place in folders if not any(other in folders for other in place.parents))
