"""ConES, stage 2, of a generator: the UNet trains for one subject with the embedding fixed, and goes with it."""

import numpy as np
import pytest
import torch
from models.test_stable_diffusion import SHORT, digest
from models.tiny_diffusion import WIDTH, painted_subject, tiny_generator

from cones.models.generator import SubjectEmbedding
from cones.runtime.errors import ConesError
from cones.training.checkpoint import Checkpoint
from cones.training.subjects.learning import SubjectLearner


def dies_after(steps, after_step):
    def die(self, losses):
        if self.progress.step > steps:
            raise KeyboardInterrupt
        after_step(self, losses)

    return die


def test_stage_2_trains_the_unet_for_one_subject_and_fixes_the_embedding(tmp_path):
    generator, subject = tiny_generator(), painted_subject(tmp_path)
    parts = [generator.unet, generator.autoencoder, generator.text.encoder]
    before = [digest(part) for part in parts]
    first = generator.learn(subject, "cones", tuning=SHORT.model_copy(update={"mode": "bos"}), seed=0, folder=tmp_path)
    tuning = SHORT.model_copy(update={"learning_rate": 1e-3})
    second = generator.learn(subject, "cones_finetuned", tuning=tuning, seed=0, folder=tmp_path, stage1=first)
    assert [digest(part) for part in parts] == before  # what was tuned goes with the subject
    assert not any(parameter.requires_grad for parameter in generator.unet.parameters())
    assert torch.equal(second.vectors, first.vectors) and second.mode == first.mode == "bos"
    assert set(second.unet) == {name for name, _ in generator.unet.named_parameters()}
    base = {name: parameter.detach().half() for name, parameter in generator.unet.named_parameters()}
    assert sum(not torch.equal(value, base[name]) for name, value in second.unet.items()) > len(base) / 2
    values = sum(value.numel() for value in second.unet.values())
    assert second.record["trained_values"] == values and second.record["stored_bytes"] == 2 * values + 4 * WIDTH

    second.save(tmp_path / "state.safetensors", "base")
    loaded = SubjectEmbedding.load(tmp_path / "state.safetensors", "base")

    def drawn(embedding):
        return np.asarray(generator.sample(embedding, [None], 0, steps=2)[0][0])

    assert np.array_equal(drawn(loaded), drawn(second)) and not np.array_equal(drawn(second), drawn(first))
    assert [digest(part) for part in parts] == before


def test_stage_2_that_was_cut_off_ends_in_the_same_unet(tmp_path, monkeypatch):
    subject, states = painted_subject(tmp_path), []
    first = tiny_generator().learn(subject, "cones", tuning=SHORT, seed=0, folder=tmp_path)

    def learn(generator):
        return generator.learn(subject, "cones_finetuned", tuning=SHORT, seed=0, folder=tmp_path, stage1=first).unet

    states.append(learn(tiny_generator()))
    monkeypatch.setattr(Checkpoint, "is_due", lambda self, **_: True)
    with monkeypatch.context() as patch:
        patch.setattr(SubjectLearner, "after_step", dies_after(2, SubjectLearner.after_step))
        with pytest.raises(KeyboardInterrupt):
            learn(cut := tiny_generator())
    assert digest(cut.unet) == digest(tiny_generator().unet)  # also when it is cut off
    assert (tmp_path / "resume.pt").exists()
    states.append(learn(tiny_generator()))
    assert all(torch.equal(states[0][name], states[1][name]) for name in states[0])


def test_stage_2_without_a_concept_embedding_is_refused(tmp_path):
    generator, subject = tiny_generator(), painted_subject(tmp_path)
    other = generator.learn(subject, "textual_inversion", tuning=SHORT, seed=0, folder=tmp_path)
    for stage1 in (None, other):
        with pytest.raises(ConesError, match="no concept embedding to fix"):
            generator.learn(subject, "cones_finetuned", tuning=SHORT, seed=0, folder=tmp_path, stage1=stage1)
