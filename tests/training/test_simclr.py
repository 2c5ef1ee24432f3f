"""The self-supervised encoder: its loss by hand, views that stay views, features that tell pictures apart, resuming."""

import pytest
import torch

from cones.models.dual_encoder import unit
from cones.runtime.determinism import generator
from cones.runtime.errors import ConesError
from cones.training.checkpoint import Checkpoint
from cones.training.simclr import (
    SimCLRRecipe,
    SimCLRTraining,
    SmallEncoder,
    contrastive_loss,
    encode,
    random_views,
)

SMALL = SimCLRRecipe(steps=6, batch_size=8, side=16)


def painted(count: int, seed: int = 0) -> torch.Tensor:
    """Pictures (count, 3, 32, 32) of stripes, each in a direction, a width and colours of its own."""
    random = torch.Generator().manual_seed(seed)
    y, x = torch.meshgrid(torch.arange(32.0), torch.arange(32.0), indexing="ij")
    angle, width, phase = torch.rand(3, count, 1, 1, generator=random)
    along = x * (3.1 * angle).cos() + y * (3.1 * angle).sin()
    stripes = 0.5 + 0.5 * torch.sin(along * (0.4 + 1.2 * width) + 6 * phase)[:, None]
    first, second = torch.rand(2, count, 3, 1, 1, generator=random)
    return stripes * first + (1 - stripes) * second


def training(pictures, tmp_path, recipe=SMALL, seed=0, identity="set"):
    return SimCLRTraining(
        pictures, recipe, seed=seed, checkpoint=tmp_path / "resume.pt", identity=identity, where="a set"
    )


def test_the_loss_is_that_of_the_paper():
    torch.manual_seed(0)
    first, second = torch.randn(4, 5), torch.randn(4, 5)
    features = unit(torch.cat([first, second])).double()
    total = 0.0
    for i in range(8):
        partner = (i + 4) % 8
        others = [(features[i] @ features[j] / 0.3).exp() for j in range(8) if j != i]
        total -= torch.log((features[i] @ features[partner] / 0.3).exp() / sum(others))
    assert contrastive_loss(first, second, 0.3).item() == pytest.approx(total.item() / 8, rel=1e-5)
    same = contrastive_loss(first, first, 0.3)
    assert same < contrastive_loss(first, second, 0.3)


def test_a_view_is_a_part_of_its_picture_drawn_by_name():
    pictures = painted(6)
    recipe = SimCLRRecipe(side=16, jitter=0.0, grey=0.0, smallest_crop=1.0)
    whole = random_views(pictures, recipe, generator("views", 1))
    small = torch.nn.functional.avg_pool2d(pictures, 2)
    for view, picture in zip(whole, small):
        assert min((view - picture).abs().mean(), (view - picture.flip(-1)).abs().mean()) < 0.06
    drawn = [random_views(pictures, SMALL, generator("views", seed)) for seed in (1, 1, 2)]
    assert torch.equal(drawn[0], drawn[1]) and not torch.equal(drawn[0], drawn[2])
    assert drawn[0].min() >= 0 and drawn[0].max() <= 1
    grey = random_views(pictures, SimCLRRecipe(side=16, grey=1.0), generator("views", 3))
    torch.testing.assert_close(grey[:, 0], grey[:, 2])


def partners_found(encoder, pictures, recipe) -> float:
    """Share of pictures whose two views are each other's nearest."""
    first, second = (unit(encoder(random_views(pictures, recipe, generator("test", view)))) for view in range(2))
    return ((first @ second.T).argmax(1) == torch.arange(len(pictures))).double().mean().item()


@torch.no_grad()
def test_it_learns_to_find_the_other_view_of_pictures_it_never_saw(tmp_path):
    pictures, others = painted(96), painted(60, seed=1)
    recipe = SimCLRRecipe(steps=60, batch_size=32, side=16, smallest_crop=0.5, jitter=0.2, grey=0.0)
    start = training(pictures, tmp_path, recipe).encoder.eval()
    with torch.enable_grad():
        trained = training(pictures, tmp_path, recipe).run()
    before, after = (partners_found(encoder, others, recipe) for encoder in (start, trained))
    assert after > 1.5 * before and after > 0.45, (before, after)
    assert not (tmp_path / "resume.pt").exists()
    features = encode(trained, others, recipe)
    assert features.shape == (60, SmallEncoder.width)
    torch.testing.assert_close(encode(trained, others, recipe, at_once=7), features)


def test_a_run_that_was_cut_off_ends_in_the_same_weights(tmp_path, monkeypatch):
    pictures = painted(20)
    whole = training(pictures, tmp_path / "whole").run().state_dict()
    monkeypatch.setattr(Checkpoint, "is_due", lambda *_, **__: True)
    cut = training(pictures, tmp_path / "cut")
    take_step = cut.step

    def step_or_die(batch):
        if cut.progress.step == 4:
            raise KeyboardInterrupt
        return take_step(batch)

    monkeypatch.setattr(cut, "step", step_or_die)
    with pytest.raises(KeyboardInterrupt):
        cut.run()
    again = training(pictures, tmp_path / "cut")
    again.resume()
    assert again.progress.step == 4
    resumed = training(pictures, tmp_path / "cut").run().state_dict()
    assert all(torch.equal(value, whole[name]) for name, value in resumed.items())
    other = training(pictures, tmp_path / "cut", seed=1).run().state_dict()
    assert any(not torch.equal(value, whole[name]) for name, value in other.items())


def test_every_picture_of_an_epoch_is_another(tmp_path):
    batches = list(training(painted(24), tmp_path)._batches())
    assert len(batches) == 6 and sorted(torch.cat(batches[:3]).tolist()) == list(range(24))


def test_one_picture_is_too_few(tmp_path):
    with pytest.raises(ConesError, match="a set: a self-supervised encoder compares pictures"):
        training(painted(1), tmp_path)
