"""The digest that re-runs a step when, and only when, code it depends on changes its meaning."""

import pytest

from cones import provenance


@pytest.fixture
def library(tmp_path, monkeypatch):
    (tmp_path / "cones").mkdir()
    for name, text in {
        "__init__": "",
        "step": '"""A step."""\nfrom cones.core import work\n\n\ndef run():\n    from cones import late\n    work()\n',
        "core": "def work():\n    return 1\n",
        "late": "value = 1\n",
        "other": "value = 1\n",
    }.items():
        (tmp_path / "cones" / f"{name}.py").write_text(text)
    monkeypatch.setattr(provenance, "ROOT", tmp_path)

    def digest():
        provenance._source.cache_clear()
        return provenance.code_digest("cones.step")

    yield tmp_path / "cones", digest
    provenance._source.cache_clear()


@pytest.mark.parametrize(
    ("file", "text", "changes"),
    [
        ("core", "def work():\n    return 2\n", True),
        ("late", "value = 2\n", True),  # imported inside a function
        ("other", "value = 2\n", False),
        ("core", '# said differently\ndef work():\n    """What it does."""\n    return 1\n', False),
    ],
)
def test_digest_follows_meaning(library, file, text, changes):
    folder, digest = library
    before = digest()
    (folder / f"{file}.py").write_text(text)
    assert (digest() != before) == changes


def test_a_method_of_its_own_file_counts_only_where_it_is_named():
    plain = provenance.code_digest("cones.steps.tune")
    assert provenance.code_digest("cones.steps.tune", "baselines.prompt_tuning") != plain
    assert provenance.code_digest("cones.steps.tune") == plain


def test_how_says_where_it_was():
    how = provenance.how(inputs={}, settings={"method": "cones"}, device="cpu")
    assert how["machine"]["cores"] >= 1 and how["machine"]["memory_bytes"] > 2**20 and how["machine"]["processor"]
    assert how["machine"]["accelerator"] is None and how["versions"]["torch"]
