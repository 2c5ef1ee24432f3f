import pytest

from cones.runtime.errors import ConesError
from cones.runtime.strict import read_yaml


def test_a_key_that_is_there_twice_is_one_line_with_both_line_numbers(tmp_path):
    (tmp_path / "a.yaml").write_text("one: 1\ntwo:\n  deep: 1\n  other: 2\n  deep: 3\n")
    with pytest.raises(ConesError) as caught:
        read_yaml(tmp_path / "a.yaml")
    path = tmp_path / "a.yaml"
    assert str(caught.value) == f'{path}: the key "deep" is there twice; found lines 3 and 5; next: keep one of them'


def test_equal_keys_in_different_places_and_merges_are_fine(tmp_path):
    (tmp_path / "a.yaml").write_text("base: &base {x: 1, y: 2}\nmore: {<<: *base, x: 3}\nlist: [{x: 1}, {x: 2}]\n")
    assert read_yaml(tmp_path / "a.yaml")["more"] == {"x": 3, "y": 2}


def test_an_unusual_key_is_not_yaml_for_us(tmp_path):
    (tmp_path / "a.yaml").write_text("? [a]\n: 1\n")
    with pytest.raises(ConesError, match="not valid YAML"):
        read_yaml(tmp_path / "a.yaml")
