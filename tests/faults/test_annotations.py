"""Whatever annotation files hold: sound records, or one line that names dataset and file; never anything else."""

import copy
import json

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cones.data import coco as gate
from cones.data.formats import coco, voc
from cones.data.formats.records import NativeFiles
from cones.runtime.errors import ConesError
from tests.data.made_up import jpeg, voc_files, write_tree

DOCUMENT = {
    "images": [{"id": 1, "file_name": "a.jpg", "width": 40, "height": 30}, {"id": 2, "file_name": "b.jpg"}],
    "categories": [{"id": 1, "name": "red"}, {"id": 2, "name": "white"}],
    "annotations": [
        {"id": 1, "image_id": 1, "category_id": 1, "bbox": [1, 2, 3, 4], "iscrowd": 0},
        {"id": 2, "image_id": 2, "category_id": 2, "bbox": [5.5, 6, 7, 8]},
    ],
}
odd = st.recursive(
    st.one_of(
        st.none(),
        st.booleans(),
        st.integers(-3, 2**70),
        st.floats(),
        st.sampled_from(["", "red", "a.jpg", "../a.jpg", "/etc/passwd", "a\0.jpg", "é" * 300]),
    ),
    lambda inner: st.one_of(st.lists(inner, max_size=5), st.dictionaries(st.sampled_from(["id", "name"]), inner)),
    max_leaves=6,
)


def places(value, path=()):
    """The path of every value in a document."""
    yield path
    if isinstance(value, dict | list):
        for key in value if isinstance(value, dict) else range(len(value)):
            yield from places(value[key], (*path, key))


@st.composite
def mangled(draw):
    """The document with up to three values replaced by something odd, removed, or there twice."""
    document = copy.deepcopy(DOCUMENT)
    for _ in range(draw(st.integers(1, 3))):
        path = draw(st.sampled_from([path for path in places(document) if path]))
        parent = document
        for key in path[:-1]:
            parent = parent[key]
        how = draw(st.sampled_from(["odd", "gone", "twice"]))
        if how == "gone":
            del parent[path[-1]]
        elif how == "twice" and isinstance(parent, list):
            parent.append(copy.deepcopy(parent[path[-1]]))
        else:
            parent[path[-1]] = draw(odd)
    return document


def sound_or_one_line(native: NativeFiles, converter, parameters) -> None:
    try:
        gated = gate.gate(converter.convert(native, parameters), native)
    except ConesError as error:
        assert str(error).startswith("dataset cells: ") and "\n" not in str(error)
        return
    for image in gated.images.values():
        assert (native.raw / image["file_name"]).resolve().is_relative_to(native.raw.resolve())
    for annotations in gated.annotations.values():
        for one in annotations:
            x, y, width, height = one["bbox"]
            assert min(x, y) >= 0 and min(width, height) > 0 and x + width <= 40.002 and y + height <= 30.002
            assert one["category_id"] in (1, 2) and one["area"] > 0


@pytest.fixture(scope="module")
def native(tmp_path_factory):
    return NativeFiles(
        "cells", write_tree(tmp_path_factory.mktemp("coco"), {"a.jpg": jpeg(), "b.jpg": jpeg()}), ["red", "white"]
    )


def read_coco(native, text: str) -> None:
    (native.raw / "boxes.json").write_text(text)
    sound_or_one_line(native, coco, coco.Parameters(files={"train": "boxes.json"}))


def test_the_document_is_fine_before_it_is_mangled(native):
    (native.raw / "boxes.json").write_text(json.dumps(DOCUMENT))
    records = list(coco.convert(native, coco.Parameters(files={"train": "boxes.json"})))
    assert [len(annotations) for annotations in gate.gate(records, native).annotations.values()] == [1, 1]


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(mangled())
def test_mangled_coco(native, document):
    read_coco(native, json.dumps(document))


@pytest.mark.parametrize(
    "text", ["", "[]", "{", "[" * 100_000, '{"images": ' + "1" * 5000 + "}", "\x00", '{"images": 1, "annotations": []}']
)
def test_files_that_are_no_coco(native, text):
    with pytest.raises(ConesError, match=r"^dataset cells: boxes\.json: .*next: "):
        (native.raw / "boxes.json").write_text(text)
        list(coco.convert(native, coco.Parameters(files={"train": "boxes.json"})))


@settings(
    max_examples=100, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture]
)
@given(st.data())
def test_mangled_voc(tmp_path_factory, data):
    """Up to three pieces of an XML file cut out, doubled or overwritten."""
    files = voc_files(count=2)
    name = "VOC/Annotations/cell_00.xml"
    text = files[name].decode()
    for _ in range(data.draw(st.integers(1, 3))):
        start = data.draw(st.integers(0, len(text)))
        end = data.draw(st.integers(start, min(start + 30, len(text))))
        text = (
            text[:start] + data.draw(st.sampled_from(["", text[start:end] * 2, "nan", "1e999", "-7", "<"])) + text[end:]
        )
    raw = write_tree(tmp_path_factory.mktemp("voc"), {**files, name: text.encode()})
    sound_or_one_line(NativeFiles("cells", raw, ["red", "white"]), voc, voc.Parameters(root="VOC"))


def test_an_xml_that_explodes_is_refused(tmp_path):
    entities = "".join(f'<!ENTITY a{n} "{f"&a{n - 1};" * 10}">' for n in range(1, 9))
    bomb = f'<!DOCTYPE x [<!ENTITY a0 "ha">{entities}]><annotation><filename>&a8;</filename></annotation>'
    files = {**voc_files(count=1), "VOC/Annotations/cell_00.xml": bomb.encode()}
    native = NativeFiles("cells", write_tree(tmp_path, files), ["red", "white"])
    with pytest.raises(ConesError, match=r"broken XML.*amplification"):
        list(voc.convert(native, voc.Parameters(root="VOC")))
