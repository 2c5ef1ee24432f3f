"""A cell's embeddings on disk, the boxes that are looked at, and class vectors as the fusion layer hears them."""

import torch

from cones.data.batches import Split
from cones.methods.prompts import FixedPrompt
from cones.models.detector import BoxFeatures
from cones.models.language import LanguageFeatures
from cones.outputs.analysis.boxes import box_vectors, choose_boxes
from cones.outputs.analysis.embeddings import BoxVectors, Embeddings, class_vectors
from cones.outputs.analysis.names import FUSED, ISOLATED, TOGETHER
from cones.runtime.determinism import generator
from tests.toy import WIDTH, ToyDetector, paint_split


class WithBoxes(ToyDetector):
    """Says of each box its place and of each class its number."""

    def box_features(self, predictions, boxes):
        classes = torch.arange(3.0)[:, None].expand(3, 4)
        return {"place": [BoxFeatures(own, classes, own.new_zeros(len(own), 3)) for own in boxes]}


def split(tmp_path, images=6):
    paint_split(tmp_path, "test", images=images, seed=0)
    model = WithBoxes()
    return model, Split(tmp_path, "test", preprocessing=model.preprocessing, inclusive=False)


def concepts():
    return LanguageFeatures.of_tokens_per_class(torch.randn(3, 2, WIDTH, generator=torch.Generator().manual_seed(0)))


def test_class_vectors_are_the_mean_of_a_classes_rows():
    vectors = torch.randn(3, 2, 5)
    torch.testing.assert_close(class_vectors(LanguageFeatures.of_tokens_per_class(vectors)), vectors.mean(dim=1))
    caption = LanguageFeatures(
        torch.arange(4.0).view(1, 4, 1), torch.ones(1, 4).bool(), torch.tensor([[[False, True, True, False]]])
    )
    assert class_vectors(caption).tolist() == [[1.5]]


def test_at_most_so_many_boxes_of_a_class_the_same_for_everyone():
    labels = [[0, 1, 0], [], [0, 0, 1], [2]]
    assert choose_boxes(labels, generator("boxes")) == {0: [0, 1, 2], 2: [0, 1, 2], 3: [0]}
    some = choose_boxes(labels, generator("boxes"), at_most=1)
    assert sorted(labels[image][box] for image, boxes in some.items() for box in boxes) == [0, 1, 2]
    assert some == choose_boxes(labels, generator("boxes"), at_most=1)


def test_boxes_keep_their_own_class(tmp_path):
    model, pictures = split(tmp_path)
    labels, found = box_vectors(model.eval(), FixedPrompt(concepts()), pictures, generator("boxes"))
    assert labels.tolist() == [int(pictures.labels(index)[0]) for index in range(6)]
    assert found["place"].own_class[:, 0].tolist() == [float(label) for label in labels]
    assert found["place"].visual.shape == (6, 4) and found["place"].logits.shape == (6, 3)


def test_a_detector_without_box_features_has_none(tmp_path):
    _, pictures = split(tmp_path)
    labels, found = box_vectors(ToyDetector().eval(), FixedPrompt(concepts()), pictures, generator("boxes"))
    assert found == {} and len(labels) == 6


def test_a_file_comes_back_as_it_was(tmp_path):
    boxes = {FUSED: BoxVectors(torch.randn(2, 4), torch.randn(2, 4), torch.randn(2, 3))}
    classes = {TOGETHER: torch.randn(3, 5), ISOLATED: torch.randn(3, 5)}
    first = Embeddings(classes, torch.tensor([0, 2]), boxes)
    digest = first.save(tmp_path / "e.safetensors")
    again = Embeddings.load(tmp_path / "e.safetensors")
    assert again.save(tmp_path / "f.safetensors") == digest
    assert torch.equal(again.boxes[FUSED].logits, boxes[FUSED].logits) and set(again.classes) == set(classes)
    Embeddings(skipped="needs a form").save(tmp_path / "g.safetensors")
    hole = Embeddings.load(tmp_path / "g.safetensors")
    assert (hole.skipped, hole.classes, hole.boxes, hole.labels) == ("needs a form", {}, {}, None)
