"""VCD, classification by description: scores of a class's descriptors, averaged (ICLR 2023, arXiv 2210.07183).

Official code: sachit-menon/classify_by_description_release d1a3d89, load.py, loading_helpers.py, descriptor_strings.py.
score(k) = mean over the descriptors of class k of cos(image, "{class}, which has {descriptor}"): the mean of scores,
not of features that are made unit again (CuPL). There is no "a photo of". Other aggregations of the code: max, sum. The
ending is "" (its default) or "." (its ImageNet); the order "append" is "which has {descriptor}, {class}".

The code's rule for the clause tests the letter "a" and not the word, so that any descriptor that begins with one gives
"which is …"; it is kept. A class without descriptors has one empty one, as there. What differs: the published
descriptors are GPT-3's, ours are this project's own words (`written_texts.py`). Scores have CLIP's scale, which changes
no answer.

On a detector (`DescribedCaption`) the caption says each class once for each descriptor, "fish, which has fins. fish,
which has scales. shark, …", and the rows of its name in all of them stand for it: a detector's score of a class is the
mean over its rows. A caption has 256 rows: of many classes as many descriptors are said as fit, which a line tells.
"""

import torch
from torch import Tensor

from baselines.training_free.written_texts import texts_about, texts_for_detectors
from cones.methods.classifier import Classifier, ClassifierInputs, ClassifierMethod, Recipe, choice
from cones.methods.method import PromptInputs, TuningMethod
from cones.methods.prompts import CaptionPrompt, EncodedCaption, FixedPrompt, PromptContext, encode_text
from cones.models.detector import GroundedDetector
from cones.models.dual_encoder import ImageFeatures, unit
from cones.models.language import MAX_POSITIONS, clean_class_name
from cones.runtime.progress import log

METHOD = {
    "name": "vcd",
    "class": "DescribedCaption",
    "classifier": "VCD",
    "label": "VCD",
    "block": "training_free",
    "inputs": ["text_encoder"],
    "is_tuned": False,
    "has_vectors": False,
    "survey": {
        "paper": "ICLR 2023, arXiv 2210.07183",
        "idea": "a class's score is the mean over its descriptors",
        "attaches": "texts",
        "trains": "nothing",
        "quirk": "descriptors are the project's own; the code's rule for the clause tests one letter and is kept",
    },
}


class AveragedScores(Classifier):
    """Unit texts (T, d), of each class `counts` in a row -> the mean, greatest or summed cosine of each class."""

    def __init__(self, texts: Tensor, counts: list[int], scale: float, aggregation: str):
        super().__init__()
        self.scale, self.counts, self.aggregation = scale, counts, aggregation
        self.register_buffer("texts", texts)

    def forward(self, images: ImageFeatures) -> Tensor:
        cosines = (unit(images.pooled) @ self.texts.T).split(self.counts, dim=1)  # K of (B, descriptors)
        aggregate = {"mean": Tensor.mean, "max": Tensor.amax, "sum": Tensor.sum}[self.aggregation]
        return self.scale * torch.stack([aggregate(of_class, 1) for of_class in cosines], dim=1)


class VCD(ClassifierMethod):
    """Nothing trains, nothing is chosen."""

    labels = "none"
    unseen_classes = True
    recipe = Recipe(epochs=0, options={"aggregation": "mean", "order": "prepend", "ending": ""})

    def classifier(self, inputs: ClassifierInputs) -> AveragedScores:
        own = self.options(inputs)
        order = choice("order", own["order"], ("prepend", "append"))
        texts = [
            [described(name, descriptor, order, own["ending"]) for descriptor in about.descriptors or ("",)]
            for name, about in zip(inputs.names, texts_about(inputs.dataset, inputs.names))
        ]
        features = unit(inputs.text([text for of_class in texts for text in of_class]))
        kind = choice("aggregation", own["aggregation"], ("mean", "max", "sum"))
        return AveragedScores(features, [len(of_class) for of_class in texts], inputs.logit_scale, kind)

    def for_classes(self, classifier: AveragedScores, inputs: ClassifierInputs) -> AveragedScores:
        return self.classifier(inputs)


def described(name: str, descriptor: str, order: str = "prepend", ending: str = "") -> str:
    """ "cat, which has pointed ears"."""
    parts = [name, clause(descriptor)]
    return ", ".join(parts if order == "prepend" else parts[::-1]) + ending


def clause(descriptor: str) -> str:
    """The descriptor as a relative clause, by the code's rule."""
    if descriptor.startswith(("a", "used")):
        return f"which is {descriptor}"
    if descriptor.startswith(("has", "often", "typically", "may", "can")):
        return f"which {descriptor}"
    return f"which has {descriptor}"


class DescribedCaption(TuningMethod):
    """On a detector: nothing trains; the text encoder runs once and is gone at test."""

    def prompt(self, model: GroundedDetector, prompt_inputs: PromptInputs) -> FixedPrompt:
        names = [clean_class_name(phrase.name) for phrase in prompt_inputs.phrases]
        written = [about.descriptors for about in texts_for_detectors(names)]
        encoded = described_caption(prompt_inputs.tokenizer, names, written)
        with torch.no_grad():
            return FixedPrompt(CaptionPrompt(prompt_inputs.text_encoder, encoded)(PromptContext()))

    def trainable(self, name: str, model: GroundedDetector) -> bool:
        return False


def described_caption(tokenizer, names: list[str], written: list[tuple[str, ...]]) -> EncodedCaption:
    """The caption of all classes with as many descriptors as fit, the first of each class before the second of any; a
    class is the rows of its name in all of them."""
    said: list[list[str]] = [[] for _ in names]
    fitting = caption_of(names, said)
    for number in range(max(map(len, written))):
        for mine, descriptors in zip(said, written):
            mine += descriptors[number : number + 1]
            longer = caption_of(names, said)
            if len(tokenizer.encode(longer[0]).ids) >= MAX_POSITIONS:  # a full stop may be added
                count, every = sum(map(len, said)) - 1, sum(map(len, written))
                log.info("a caption of %d rows holds %d of %d descriptors", MAX_POSITIONS, count, every)
                return of_classes(tokenizer, *fitting, len(names))
            fitting = longer
    return of_classes(tokenizer, *fitting, len(names))


Span = tuple[int, int, int]


def caption_of(names: list[str], said: list[list[str]]) -> tuple[str, list[Span]]:
    """(text, (class, start, end) of every name in it); a class without a descriptor is its name."""
    text, spans = "", []
    for k, (name, descriptors) in enumerate(zip(names, said)):
        for phrase in [described(name, descriptor) for descriptor in descriptors] or [name]:
            text += ". " if text else ""
            spans.append((k, len(text), len(text) + len(name)))
            text += phrase
    return text, spans


def of_classes(tokenizer, text: str, spans: list[Span], classes: int) -> EncodedCaption:
    """The encoded text, in which all spans of a class stand for it."""
    encoded = encode_text(tokenizer, text, [(start, end) for _, start, end in spans])
    owners = torch.tensor([k for k, _, _ in spans])
    rows = [encoded.class_positions[owners == k].any(dim=0) for k in range(classes)]
    return EncodedCaption(encoded.ids, torch.stack(rows), encoded.phrases)
