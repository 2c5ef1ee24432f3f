"""VCD equals the official code."""

import pytest
import torch

from baselines.training_free import vcd
from baselines.training_free.vcd import VCD, described
from baselines.training_free.written_texts import AboutClass
from baselines.zero_shot import ZeroShotClassifier
from cones.methods.classifier import Recipe
from cones.models.dual_encoder import ImageFeatures, unit
from tests.golden.reading import GoldenFile
from tests.golden.tiny_clip import NAMES
from tests.methods.classifier.inputs_of import inputs_of, tiny_images, tiny_text
from tests.some_fast import first_two_fast

DESCRIPTORS = {
    "cat": ("pointed ears", "a long tail", "has whiskers"),
    "toy car": ("four small wheels", "typically made of plastic", "used by children"),
    "white blood cell": ("large purple nucleus", "often round", "may be seen under a microscope"),
}
STRINGS = [
    "cat, which has pointed ears",
    "cat, which is a long tail",
    "cat, which has whiskers",
    "toy car, which has four small wheels",
    "toy car, which typically made of plastic",
    "toy car, which is used by children",
    "white blood cell, which has large purple nucleus",
    "white blood cell, which often round",
    "white blood cell, which may be seen under a microscope",
]
FORMS = {
    "prepend": {"ending": "", "order": "prepend"},
    "imagenet": {"ending": ".", "order": "prepend"},
    "append": {"ending": "", "order": "append"},
}


def appended(text: str) -> str:
    name, clause = text.split(", ")
    return f"{clause}, {name}"


def form_holds(golden: GoldenFile, form: str, test: ImageFeatures) -> None:
    expected = {"prepend": STRINGS, "imagenet": [f"{text}." for text in STRINGS], "append": map(appended, STRINGS)}
    features = golden[f"{form}_description_features"]
    golden.compare(f"{form}_description_features", unit(tiny_text(golden[f"{form}_token_ids"])))
    rows = dict(zip(expected[form], features.reshape(-1, 64) * 3, strict=True))  # any length: the method makes it unit
    for aggregation in ("mean", "max", "sum"):
        recipe = Recipe(options={**FORMS[form], "aggregation": aggregation})
        given = inputs_of(torch.zeros(3, 64), test, torch.zeros(6).long(), scale=1.0, recipe=recipe)
        given.text = lambda texts, *, truncate=False: torch.stack([rows[text] for text in texts])
        classifier = VCD().classifier(given)
        golden.compare(f"{form}_scores_{aggregation}", classifier(test))
    similarities = unit(test.pooled) @ classifier.texts.T
    golden.compare(f"{form}_similarities", similarities.reshape(6, 3, 3))
    names = golden[f"{form}_label_features"]
    rows.update({f"{name}{FORMS[form]['ending']}": row for name, row in zip(NAMES, names)})
    given.template = "{}" + FORMS[form]["ending"]
    golden.compare(f"{form}_label_scores", ZeroShotClassifier().classifier(given)(test))


def numbers_hold() -> None:
    with GoldenFile("vcd") as golden:
        golden.compare("test_features_unit", unit(tiny_images("test", 6)))
        test = ImageFeatures(golden["test_features_unit"])
        for form in FORMS:
            form_holds(golden, form, test)


@pytest.fixture
def written(monkeypatch):
    about = [AboutClass(descriptors=DESCRIPTORS[name]) for name in NAMES]
    monkeypatch.setattr(vcd, "texts_about", lambda dataset, names: about)


def test_numbers_are_those_of_the_official_code(written):
    numbers_hold()


def with_options(change):
    options = VCD.options
    return lambda patch: patch.setattr(VCD, "options", lambda self, inputs: {**options(self, inputs), **change})


MISTAKES = {
    "the greatest score": with_options({"aggregation": "max"}),
    "appended": with_options({"order": "append"}),
    "with a full stop": with_options({"ending": "."}),
    "the word and not the letter a": lambda patch: patch.setattr(
        vcd, "clause", lambda descriptor: f"which has {descriptor}"
    ),
    "one feature of each class": lambda patch: patch.setattr(
        vcd.AveragedScores,
        "forward",
        lambda self, images: (
            unit(images.pooled) @ unit(torch.stack([part.mean(0) for part in self.texts.split(self.counts)])).T
        ),
    ),
}


@pytest.mark.parametrize("mistake", first_two_fast(MISTAKES))
def test_a_mistake_is_seen(mistake, written, monkeypatch):
    MISTAKES[mistake](monkeypatch)
    with pytest.raises((AssertionError, KeyError)):
        numbers_hold()


def test_strings_are_those_of_the_official_rule():
    made = [described(name, one) for name, all_of_it in DESCRIPTORS.items() for one in all_of_it]
    assert made == STRINGS and described("cat", "") == "cat, which has "


def test_classes_may_have_any_number_of_descriptors(monkeypatch):
    about = [AboutClass(descriptors=("x", "y", "z")), AboutClass(descriptors=("x",)), AboutClass()]
    monkeypatch.setattr(vcd, "texts_about", lambda dataset, names: about)
    torch.manual_seed(0)
    rows, images = torch.randn(5, 8), ImageFeatures(torch.randn(4, 8))
    given = inputs_of(torch.zeros(3, 8), images, torch.zeros(4).long(), scale=1.0)
    given.text = lambda texts, *, truncate=False: rows[: len(texts)]
    cosines = unit(images.pooled) @ unit(rows).T
    expected = torch.stack([cosines[:, :3].mean(1), cosines[:, 3], cosines[:, 4]], dim=1)
    torch.testing.assert_close(VCD().classifier(given)(images), expected)
