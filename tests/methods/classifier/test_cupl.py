"""CuPL equals the official code; classes without a text are refused in one line."""

import pytest
import torch

from baselines.training_free import cupl
from baselines.training_free.cupl import CuPL
from baselines.training_free.written_texts import AboutClass
from cones.methods import class_vectors
from cones.methods.class_vectors import averaged_texts
from cones.methods.classifier import Recipe
from cones.models.dual_encoder import ImageFeatures, unit
from cones.runtime.errors import ConesError
from tests.golden.reading import GoldenFile
from tests.golden.tiny_clip import NAMES
from tests.methods.classifier.inputs_of import inputs_of, tiny_images, tiny_text

KINDS = {"base": "base", "cupl": "sentences", "both": "both"}


def texts_of(golden: GoldenFile):
    """The text encoder of the file's texts, "template t of k" and "sentence s of k"."""
    templates, sentences = golden["template_features_raw"], golden["sentence_features_raw"]
    rows = {f"template {t} of {name}": templates[k, t] for k, name in enumerate(NAMES) for t in range(2)}
    rows |= {f"sentence {s} of {name}": sentences[k, s] for k, name in enumerate(NAMES) for s in range(3)}
    return lambda texts, *, truncate=False: torch.stack([rows[text] for text in texts])


def numbers_hold(monkeypatch) -> None:
    with GoldenFile("cupl") as golden:
        for kind in ("sentence", "template"):
            golden.compare(f"{kind}_features_raw", tiny_text(golden[f"token_ids_{kind}s"]))
        golden.compare("truncated_feature_raw", tiny_text(golden["token_ids_truncated"]))
        golden.compare("test_features_raw", tiny_images("test", 6))
        encode, test = texts_of(golden), ImageFeatures(golden["test_features_raw"])
        # two templates stand in the file where a data set has one: the second comes as a first sentence
        base = [[f"template {t} of {name}" for t in range(2)] for name in NAMES]
        golden.compare("weights_base", averaged_texts(encode, base).T)
        written = [AboutClass(sentences=[f"sentence {s} of {name}" for s in range(3)]) for name in NAMES]
        more = [AboutClass(sentences=[texts[1], *about.sentences]) for texts, about in zip(base, written, strict=True)]
        for key, kind in KINDS.items():
            about = {"cupl": written, "both": more, "base": [AboutClass(sentences=texts[1:]) for texts in base]}[key]
            monkeypatch.setattr(cupl, "texts_about", lambda dataset, names, about=about: about)
            given = inputs_of(
                torch.zeros(3, 64),
                test,
                torch.zeros(6, dtype=torch.int64),
                text=encode,
                template="template 0 of {}",
                scale=1.0,
                recipe=Recipe(options={"texts": "both" if key == "base" else kind}),
            )
            classifier = CuPL().classifier(given)
            golden.compare(f"weights_{key}", classifier.vectors.T)
            golden.compare(f"test_logits_{key}", classifier(test))


def test_numbers_are_those_of_the_official_code(monkeypatch):
    numbers_hold(monkeypatch)


def of_raw_features(text, texts):
    return unit(torch.stack([text(of_class).mean(0) for of_class in texts]))


def not_unit(text, texts):
    return torch.stack([unit(text(of_class)).mean(0) for of_class in texts])


def average_of_classifiers(text, texts):
    """Templates and sentences apart, then their mean."""
    kinds = [[[one for one in of_class if one.startswith(kind)] for of_class in texts] for kind in ("temp", "sent")]
    return unit(sum(averaged_texts(text, kind) for kind in kinds if all(kind)))


def test_a_mistake_is_seen(monkeypatch):
    for mistake in (of_raw_features, average_of_classifiers):
        monkeypatch.setattr(cupl, "averaged_texts", mistake)
        with pytest.raises(AssertionError):
            numbers_hold(monkeypatch)
    # scores are cosines: only the weights show that the last step is missing
    monkeypatch.setattr(cupl, "averaged_texts", not_unit)
    with pytest.raises(AssertionError, match="weights_"):
        numbers_hold(monkeypatch)


def test_a_class_without_a_text_and_a_set_without_a_file_are_refused():
    given = inputs_of(torch.eye(3), torch.eye(3), torch.arange(3), dataset="nano_cells")
    with pytest.raises(
        ConesError, match=r"nano_cells.yaml: classes: no text is written about a class; found cat, toy car"
    ):
        CuPL().classifier(given)
    given.dataset = "nano_cell"
    with pytest.raises(ConesError, match=r"nano_cell: no texts are written .*nano_cells.*next: write one, or take"):
        CuPL().classifier(given)
    given.recipe = Recipe(options={"texts": "base"})
    torch.testing.assert_close(CuPL().classifier(given).vectors, torch.eye(3))


def test_texts_may_be_cut():
    asked = []

    def encode(texts, *, truncate=False):
        asked.append(truncate)
        return torch.ones(len(texts), 4)

    given = inputs_of(
        torch.eye(3), torch.eye(3), torch.arange(3), text=encode, recipe=Recipe(options={"texts": "base"})
    )
    CuPL().classifier(given)
    assert asked == [True] and class_vectors.averaged_texts is averaged_texts
