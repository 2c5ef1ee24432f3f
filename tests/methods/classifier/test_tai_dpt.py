"""TaI-DPT equals the official code; the order of captions and what stands behind a caption's end change nothing."""

import pytest
import torch

from baselines.text_prompts import tai_dpt
from baselines.text_prompts.tai_dpt import DoubleTexts, TaIDPT, ranking_loss, tokens_of
from cones.methods.classifier import Captions
from cones.models.dual_encoder import ImageFeatures, unit
from tests.golden.reading import GoldenFile
from tests.golden.tiny_clip import NAMES, golden_images
from tests.methods.classifier.golden_words import (
    GoldenTokenizer,
    golden_vectors,
    prompt_inputs,
    step_holds,
    with_options,
)
from tests.methods.classifier.inputs_of import losses_hold, take_steps
from tests.methods.classifier.regions_of import regions, resnet
from tests.some_fast import first_two_fast

PARAMETERS = {"ctx": "context", "ctx_double": "local"}


def given_of(golden: GoldenFile, **others):
    words = GoldenTokenizer(NAMES, golden["prompt_token_ids"], before=16)
    train = regions("train", 8, placed=False)
    return prompt_inputs(words, encoder=resnet(), train=train, recipe=TaIDPT.recipe, **others)


def started(golden: GoldenFile) -> DoubleTexts:
    classifier = TaIDPT().classifier(given_of(golden))
    for key, name in PARAMETERS.items():
        parameter = getattr(classifier, name)
        assert parameter.std().item() == pytest.approx(0.02, rel=0.1)
        parameter.data.copy_(golden_vectors(f"taidpt/{key}", (16, 128), 0.02))
    return classifier


def captions_of(golden: GoldenFile) -> torch.Tensor:
    ids = golden["caption_token_ids"]
    return torch.cat([ids.argmax(1, keepdim=True), ids], dim=1)


def answers_hold(golden: GoldenFile, classifier: DoubleTexts, prefix: str) -> None:
    test = regions("test", 6, placed=False)
    pooled, positions = test.patches[:, 0], test.patches[:, 1:]
    golden.compare(f"{prefix}test_logits_global", classifier.pooled_logits(pooled))
    golden.compare(f"{prefix}test_logits_local", classifier.local_logits(positions, classifier.of_images))
    golden.compare(f"{prefix}test_local_cosines", classifier.local_cosines(positions).transpose(0, 1))
    of_global = unit(positions) @ unit(classifier.texts(classifier.context)).T
    golden.compare(f"{prefix}test_local_cosines_global_prompt", of_global.transpose(0, 1))
    golden.compare(f"{prefix}test_merged", classifier(test))


def images_hold(golden: GoldenFile) -> None:
    seen = regions("test", 6, placed=False).patches
    with torch.no_grad():
        golden.compare("test_layer4", resnet().visual.maps(golden_images("test", 6, 64)))
    golden.compare("test_global_feature_raw", seen[:, 0])
    golden.compare("test_region_features_raw", seen[:, 1:].transpose(0, 1))


def training_holds(golden: GoldenFile, classifier: DoubleTexts) -> None:
    method, captions, labels = TaIDPT(), captions_of(golden), golden["caption_labels"]
    pooled, local = classifier.caption_logits(captions)
    golden.compare("train_logits_global", pooled)
    golden.compare("train_logits_local", local)
    terms = method.loss_terms(classifier, captions, labels)
    for key, name in (("global", "pooled"), ("local", "local")):
        golden.compare(f"loss_{key}", terms[name].sum / terms[name].normaliser, within=1e-5)
    start = {name: getattr(classifier, name).detach().clone() for name in PARAMETERS.values()}
    steps = take_steps(method, classifier, captions, labels, method.recipe)
    losses_hold(golden, "losses", steps.losses)
    for key, name in PARAMETERS.items():
        for number in (1, 2, 3):
            golden.compare(f"grad_step{number}.{key}", steps.gradients[number - 1][name], within=1e-3)
        for number in (1, 3):
            step_holds(golden, f"param_step{number}.{key}", steps.parameters[number - 1][name], start[name])


def numbers_hold() -> None:
    with GoldenFile("taidpt") as golden:
        images_hold(golden)
        classifier = started(golden)
        golden.compare("text_features_raw_global", classifier.texts(classifier.context))
        golden.compare("text_features_raw_local", classifier.texts(classifier.local))
        ids = golden["caption_token_ids"]
        with torch.no_grad():
            rows = resnet().encode_words(resnet().embed_text(ids[:, :20]), torch.full((6,), 19))
        golden.compare("caption_token_features_raw", rows)
        answers_hold(golden, classifier, "")
        training_holds(golden, classifier)
        answers_hold(golden, classifier, "after_")
        logits, labels = golden["syn_logits"].requires_grad_(), golden["caption_labels"]
        loss = tai_dpt.ranking_loss(logits, labels) / len(labels)
        golden.compare("syn_ranking_loss", loss, within=1e-5)
        golden.compare("syn_ranking_grad", torch.autograd.grad(loss, logits)[0], within=1e-4)


def test_numbers_are_those_of_the_official_code():
    numbers_hold()


def with_option(**options):
    return lambda patch: patch.setattr(TaIDPT, "recipe", with_options(TaIDPT.recipe, **options))


def of_global_context(self, rows):
    return unit(rows) @ unit(self.texts(self.context)).T


def with_positions(tag, count, *, placed):
    pixels = golden_images(tag, count, 64)
    with torch.no_grad():
        whole = resnet().encode_image(pixels).pooled
    return ImageFeatures(whole, torch.cat([whole[:, None], REGIONS(tag, count, placed=False).patches[:, 1:]], 1))


LOCAL, RANKING, REGIONS = DoubleTexts.local_logits, ranking_loss, regions
MISTAKES = {
    "padding plays a position": lambda patch: patch.setattr(
        DoubleTexts, "local_logits", lambda self, rows, sharpness, there=None: LOCAL(self, rows, sharpness)
    ),
    "another sharpness of words": with_option(of_words=40.0),
    "another sharpness of images": with_option(of_images=50.0),
    "the global context for positions": lambda patch: patch.setattr(DoubleTexts, "local_cosines", of_global_context),
    "positional embeddings in the pooled feature": lambda patch: patch.setitem(globals(), "regions", with_positions),
    "signs of the loss exchanged": lambda patch: patch.setattr(
        tai_dpt, "ranking_loss", lambda logits, labels: RANKING(-logits, labels)
    ),
    "another margin": lambda patch: patch.setattr(
        tai_dpt, "ranking_loss", lambda logits, labels: RANKING(logits, labels, 0.5)
    ),
}


@pytest.mark.parametrize("mistake", first_two_fast(MISTAKES))
def test_a_mistake_is_seen(mistake, monkeypatch):
    MISTAKES[mistake](monkeypatch)
    with pytest.raises(AssertionError):
        numbers_hold()


@pytest.fixture
def golden():
    with GoldenFile("taidpt") as golden:
        yield golden
        golden.unread.clear()


def test_the_order_of_captions_does_not_matter(golden):
    classifier, method, labels = started(golden), TaIDPT(), golden["caption_labels"]
    captions, order = captions_of(golden), torch.tensor([4, 0, 5, 2, 1, 3])
    one, other = (
        sum(term.sum for term in method.loss_terms(classifier, captions[rows], labels[rows]).values())
        for rows in (torch.arange(6), order)
    )
    torch.testing.assert_close(one, other)


def test_what_stands_behind_the_end_of_a_caption_is_not_read(golden):
    classifier, captions = started(golden), captions_of(golden)
    changed = captions.clone()
    behind = torch.arange(77) > captions[:, :1]
    changed[:, 1:][behind] = 320
    assert not torch.equal(changed, captions)
    for one, other in zip(classifier.caption_logits(captions), classifier.caption_logits(changed), strict=True):
        torch.testing.assert_close(one, other)


def test_it_trains_on_the_captions_and_on_its_own_names_and_on_no_image(golden):
    captions = Captions(["cat toy car.", "a photo of a cat."], torch.tensor([[1, 1, 0], [1, 0, 0]]))
    given, seen = given_of(golden, captions=captions), []
    given.tokenizer.phrases |= {"a photo of a": [320, 1125, 539, 320]}
    classifier = TaIDPT().classifier(given)
    TaIDPT().fit(classifier, given, lambda tuned, images: seen.append(images))
    (images,) = seen
    assert len(images) == 2 + 3 * 9
    texts = [*captions.texts, *(f"a photo of a {name}." for name in NAMES for _ in range(9))]
    assert torch.equal(images.features, tokens_of(given.tokenizer, texts))
    assert images.labels[:2].tolist() == captions.labels.tolist() and images.labels[2:].sum(0).tolist() == [9, 9, 9]


def test_ranking_loss_by_its_definition():
    random = torch.Generator().manual_seed(1)
    logits, labels = torch.randn(4, 5, generator=random), torch.randint(0, 2, (4, 5), generator=random)
    expected = sum(
        max(0.0, 1 - row[j].item() + row[i].item())
        for row, known in zip(logits, labels.tolist())
        for j in range(5)
        for i in range(5)
        if known[j] == 1 and known[i] == 0
    )
    assert ranking_loss(logits, labels).item() == pytest.approx(expected, rel=1e-5)
