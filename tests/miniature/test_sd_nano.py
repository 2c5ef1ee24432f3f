"""The shipped generator: its files are those of its record, it draws what it is told, and two dogs stay apart."""

import pytest
import torch

from cones.miniature.dreambooth import SUBJECTS
from cones.miniature.icon_classifier import IconClassifier, accuracy
from cones.miniature.icon_features import IconFeatures
from cones.miniature.icons import PLACES, Icon, paint_icon
from cones.miniature.painter import generator_of
from cones.miniature.pretraining.diffusion import gate
from cones.miniature.pretraining.diffusion.words import build_tokenizer
from cones.models.generator import Subject
from cones.models.stable_diffusion.settings import SubjectTuning
from cones.runtime.artifacts import load_tensors, read_json, sha256
from cones.training.subjects.generator import StableDiffusion
from cones.training.subjects.loading import load_generator, load_text, read_text_states, write_text_states
from cones.weights.shipped import FOLDER

HERE, CPU = FOLDER / "sd_nano", torch.device("cpu")
TUNING = SubjectTuning(mode="bos", steps=100, accumulation=1, batch=4, learning_rate=3e-2, probe_every=100)


@pytest.fixture(scope="module")
def nano(tmp_path_factory) -> StableDiffusion:
    states = tmp_path_factory.mktemp("nano") / "text.safetensors"
    write_text_states(load_text(HERE, CPU), ["dog"], states, "nano")
    return load_generator(HERE, states=read_text_states(states, "nano"), with_text=True, device=CPU)


def test_the_files_are_those_of_the_record():
    record = read_json(HERE / "record.json")
    assert record["sha256"] == {
        path.relative_to(HERE).as_posix(): sha256(path) for path in sorted(HERE.rglob("*.safetensors"))
    }
    assert sum(path.stat().st_size for path in HERE.rglob("*") if path.is_file()) < 12e6


def test_the_tokenizer_is_the_same_in_every_process(nano):
    assert nano.text.tokenizer.get_vocab() == build_tokenizer().get_vocab()
    assert len(nano.text.words("cropped photo of a stuffed animal")) == 6


@pytest.mark.slow
def test_nouns_colours_and_places_are_drawn_as_said(nano):
    """As the record says, to one picture in sixty: patterns are the weak spot (ceiling: the autoencoder's 90 %)."""
    wanted = gate.caption_grid()
    found = gate.pictures_of_grid(
        nano.unet,
        nano.text.encoder,
        nano.text.tokenizer,
        nano.autoencoder,
        nano.scheduler,
        nano.autoencoder.config.scaling_factor,
        wanted,
    )
    classifier = IconClassifier()
    classifier.load_state_dict({n: v.float() for n, v in load_tensors(HERE / "classifier.safetensors")[0].items()})
    scores = accuracy(classifier.eval(), found, wanted)
    for question, share in read_json(HERE / "record.json")["caption_grid"].items():
        assert scores[question] == pytest.approx(share, abs=1 / 60 + 1e-3), question
    assert min(scores["noun"], scores["main"], scores["second"], scores["place"]) > 0.9


@pytest.mark.slow
def test_a_learnt_dog_is_that_dog_and_an_exchanged_embedding_is_the_other(nano, tmp_path):
    extractor = IconFeatures.load(HERE, CPU)
    real, drawn = {}, {}
    for name in ("dog3", "dog7"):
        pictures = []
        for number, place in enumerate(list(PLACES)[:4]):
            icon = Icon(**{**vars(SUBJECTS[name][1]), "place": place})
            pictures.append(tmp_path / f"{name}_{number}.png")
            paint_icon(icon, generator_of(f"{name}:{number}"), 96)[0].save(pictures[-1])
        subject = Subject(name, "dog", tuple(pictures))
        learnt = nano.learn(subject, "cones", tuning=TUNING, seed=0, folder=tmp_path)
        drawn[name] = extractor.pictures(nano.sample(learnt, [None], 0, count=4, guidance=3.0, steps=12)[0])
        real[name] = extractor.pictures([_opened(file) for file in pictures])
    like = {(a, b): (drawn[a] @ real[b].T).mean().item() for a in real for b in real}
    assert like["dog3", "dog3"] > like["dog3", "dog7"] and like["dog7", "dog7"] > like["dog7", "dog3"]


def _opened(file):
    from PIL import Image

    with Image.open(file) as picture:
        return picture.convert("RGB")
