"""The digest that re-runs a step when, and only when, code it depends on changes its meaning."""

import pytest

from cones.runtime import provenance, sources

CORE = """WORDS = "words.txt"
METHOD = {"label": "A"}


def work():
    return 1
"""
DOCUMENTED = "# A comment.\n" + CORE.replace("work():", 'work():\n    "What it does."')


@pytest.fixture
def library(tmp_path, monkeypatch):
    folder = tmp_path / "cones"
    folder.mkdir()
    for name, text in {
        "__init__": "",
        "step": '"""A step."""\nfrom cones.core import work\n\n\ndef run():\n    from . import late\n    work()\n',
        "core": CORE,
        "late": "value = 1\n",
        "other": "value = 1\n",
    }.items():
        (folder / f"{name}.py").write_text(text)
    (folder / "words.txt").write_text("cat")
    monkeypatch.setattr(sources, "ROOT", tmp_path)
    monkeypatch.setattr(provenance, "ROOT", tmp_path)

    def digest(function=lambda: provenance.code_digest("cones.step")):
        provenance.forget_sources()
        return function()

    yield folder, digest
    provenance.forget_sources()


@pytest.mark.parametrize(
    ("file", "text", "changes"),
    [
        ("core.py", CORE.replace("return 1", "return 2"), True),
        ("late.py", "value = 2\n", True),  # imported inside a function, by a relative import
        ("__init__.py", "value = 2\n", True),  # it runs before any module of its package
        ("words.txt", "dog", True),  # named by a text in `core`
        ("core.py", CORE.replace('"A"', '"B"'), False),  # how tables show it is no matter of this step
        ("other.py", "value = 2\n", False),
        ("core.py", DOCUMENTED, False),
    ],
)
def test_digest_follows_meaning(library, file, text, changes):
    folder, digest = library
    before = digest()
    (folder / file).write_text(text)
    assert (digest() != before) == changes


def test_a_run_notices_whatever_changes_the_meaning_of_the_library(library):
    """Also what a file says to a registry: a run was planned with it."""
    folder, digest = library
    planned = digest(provenance.digest_of_library)
    (folder / "core.py").write_text(f"# a comment\n{CORE}")
    assert digest(lambda: provenance.is_library_of(planned))
    (folder / "core.py").write_text(CORE.replace('"A"', '"B"'))
    assert not digest(lambda: provenance.is_library_of(planned))


def test_a_method_of_its_own_file_counts_only_where_it_is_named():
    plain = provenance.code_digest("cones.steps.tune")
    assert provenance.code_digest("cones.steps.tune", "baselines.prompt_tuning") != plain
    assert provenance.code_digest("cones.steps.tune") == plain


def test_run_provenance_says_where_it_was():
    how = provenance.run_provenance(inputs={}, settings={"method": "cones"}, device="cpu")
    assert how["machine"]["cores"] >= 1 and how["machine"]["memory_bytes"] > 2**20 and how["machine"]["processor"]
    assert how["machine"]["accelerator"] is None and how["versions"]["torch"]
