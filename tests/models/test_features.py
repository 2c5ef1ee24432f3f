"""Feature extractors from directories the test makes: the classes of the real ones, of a few thousand random values."""

import json
import shutil

import numpy as np
import pytest
import torch
from models.tiny_diffusion import CPU, tokenizer
from PIL import Image
from transformers import CLIPConfig, CLIPImageProcessorPil, CLIPModel, ViTConfig, ViTModel

from cones.miniature.icon_classifier import IconClassifier
from cones.miniature.icon_features import IconFeatures
from cones.miniature.icons import Icon, paint_icon
from cones.miniature.painter import generator_of
from cones.models.extractors.extractor import ReadsTexts
from cones.models.extractors.published import ClipFeatures, DinoFeatures
from cones.runtime.artifacts import save_tensors
from cones.runtime.errors import ConesError

SIDE = 32
SMALL = {"hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2}


def processor():
    return CLIPImageProcessorPil(size={"shortest_edge": SIDE}, crop_size={"height": SIDE, "width": SIDE})


@pytest.fixture(scope="module")
def clip_directory(tmp_path_factory):
    folder = tmp_path_factory.mktemp("clip")
    torch.manual_seed(0)
    words = tokenizer()
    text = {"vocab_size": len(words), "max_position_embeddings": words.model_max_length}
    text |= {"bos_token_id": words.bos_token_id, "eos_token_id": words.eos_token_id, "pad_token_id": words.pad_token_id}
    config = CLIPConfig(
        text_config=SMALL | text, vision_config=SMALL | {"image_size": SIDE, "patch_size": 8}, projection_dim=12
    )
    CLIPModel(config).save_pretrained(folder)
    processor().save_pretrained(folder)
    words.save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def dino_directory(tmp_path_factory):
    folder = tmp_path_factory.mktemp("dino")
    torch.manual_seed(0)
    ViTModel(ViTConfig(**SMALL, image_size=SIDE, patch_size=8)).save_pretrained(folder)
    processor().save_pretrained(folder)
    return folder


def pictures(count, side=50):
    icons = [Icon("dog", main, "white", "striped", "in the snow") for main in ("red", "blue", "green")]
    return [paint_icon(icons[i % 3], generator_of(f"features:{i}"), side)[0] for i in range(count)]


def unit(rows):
    torch.testing.assert_close(rows.norm(dim=-1), torch.ones(len(rows)))
    return rows


def test_clip_puts_pictures_and_texts_into_one_space_as_its_own_forward_does(clip_directory):
    clip = ClipFeatures.load(clip_directory, CPU)
    shown, texts = pictures(3), ["a photo of a dog", "a photo of a red dog in the snow"]
    rows, said = unit(clip.pictures(shown)), unit(clip.texts(texts))
    assert rows.shape == (3, 12) and said.shape == (2, 12) and isinstance(clip, ReadsTexts)
    encoded = tokenizer()(texts, padding=True, return_tensors="pt")
    pixels = processor()(images=shown, return_tensors="pt").pixel_values
    with torch.no_grad():
        whole = CLIPModel.from_pretrained(clip_directory).eval()(**encoded, pixel_values=pixels)
    torch.testing.assert_close(rows, whole.image_embeds, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(said, whole.text_embeds, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(clip.texts(texts[:1]), said[:1], atol=1e-5, rtol=1e-5)  # padding says nothing


def test_dino_reads_the_class_token_in_batches_of_any_size(dino_directory, monkeypatch):
    dino = DinoFeatures.load(dino_directory, CPU)
    shown = pictures(5)
    rows = unit(dino.pictures(shown))
    monkeypatch.setattr("cones.models.extractors.extractor.BATCH", 2)
    torch.testing.assert_close(dino.pictures(shown), rows)
    pixels = processor()(images=shown, return_tensors="pt").pixel_values
    with torch.no_grad():
        states = ViTModel.from_pretrained(dino_directory).eval()(pixel_values=pixels).last_hidden_state
    torch.testing.assert_close(rows, torch.nn.functional.normalize(states[:, 0], dim=-1))
    assert not isinstance(dino, ReadsTexts)


def test_a_directory_that_lacks_something_ends_in_one_line(clip_directory, tmp_path):
    shutil.copytree(clip_directory, tmp_path / "clip")
    for file in ("preprocessor_config.json", "processor_config.json"):
        (tmp_path / "clip" / file).unlink(missing_ok=True)
    with pytest.raises(ConesError, match="feature extractor cannot be loaded"):
        ClipFeatures.load(tmp_path / "clip", CPU)
    (tmp_path / "clip" / "config.json").write_text(json.dumps({}))
    with pytest.raises(ConesError, match="cannot be loaded"):
        DinoFeatures.load(tmp_path / "elsewhere", CPU)


def test_the_icon_extractor_is_the_classifier_before_its_answers(tmp_path):
    torch.manual_seed(0)
    classifier = IconClassifier()
    halves = {name: value.half() for name, value in classifier.state_dict().items()}
    save_tensors(tmp_path / "classifier.safetensors", halves)
    icons = IconFeatures.load(tmp_path, CPU)
    small, large = (
        pictures(2, side=32),
        [picture.resize((64, 64), Image.Resampling.NEAREST) for picture in pictures(2, 32)],
    )
    rows = unit(icons.pictures(small))
    pixels = torch.from_numpy(np.stack([np.asarray(picture, np.float32) for picture in small])).permute(0, 3, 1, 2)
    expected = torch.nn.functional.normalize(classifier.features(pixels / 127.5 - 1), dim=-1)
    torch.testing.assert_close(rows, expected, atol=5e-3, rtol=5e-3)
    assert (rows * unit(icons.pictures(large))).sum(-1).min() > 0.9
