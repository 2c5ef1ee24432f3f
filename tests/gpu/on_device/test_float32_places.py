"""What stays in float32 on a GPU where the rest computes in bfloat16."""

import pytest
import torch
from models.tiny_diffusion import WIDTH, tiny_scheduler, tiny_unet

from cones.models.glip.postprocess import class_scores as glip_scores
from cones.models.grounding_dino.config import Weights
from cones.models.grounding_dino.matching import matching_cost
from cones.models.grounding_dino.postprocess import class_scores as grounding_dino_scores
from cones.models.layers.matching import one_to_one
from cones.models.stable_diffusion.sampling import denoised
from cones.models.uninext.masks import PARAMETERS, dynamic_masks
from cones.models.uninext.matching import simota, simota_table
from cones.models.uninext.postprocess import class_scores as uninext_scores

QUERIES, CLASSES, ROWS = 40, 3, 8


@pytest.fixture
def draw(device):
    generator = torch.Generator().manual_seed(0)
    return lambda *shape: torch.randn(*shape, generator=generator).to(device)


@pytest.fixture
def positions(device):
    """(K, L) bool: each class has two rows, and two rows are of none."""
    return torch.eye(CLASSES, ROWS // 2).repeat_interleave(2, dim=1).bool().to(device)


def same_under_autocast(compute) -> bool:
    with torch.autocast("cuda", dtype=torch.bfloat16):
        half = compute()
    return half.dtype == torch.float32 and torch.equal(half, compute())


def test_class_scores(draw, positions):
    logits, quality = draw(QUERIES, ROWS), draw(QUERIES)
    assert same_under_autocast(lambda: uninext_scores(logits, quality, positions))
    assert same_under_autocast(lambda: grounding_dino_scores(logits, positions))
    assert same_under_autocast(lambda: glip_scores(logits[None], positions[None]))


@pytest.mark.parametrize("of", ["uninext", "grounding_dino"])
def test_the_cost_of_matching(device, positions, of):
    """All boxes are alike, and the logits differ by less than bfloat16 can tell: the highest one is the cheapest."""
    logits = (1 + 1e-4 * torch.arange(QUERIES)).to(device)[:, None].expand(-1, ROWS)
    box = torch.tensor([[0.5, 0.5, 0.2, 0.2]], device=device)
    boxes = box.expand(QUERIES, -1)

    def queries():
        if of == "uninext":
            wanted = torch.tensor([[0.5, 0.5, 0.1, 0.1]], device=device)
            return simota([simota_table(logits, boxes, positions[:1], wanted)])[0][0]
        weights = Weights(classification=1.0, box=5.0, giou=2.0)
        return one_to_one([matching_cost(logits, boxes, positions[:1], box, weights)])[0][0]

    with torch.autocast("cuda", dtype=torch.bfloat16):
        half = queries()
    assert half.tolist() == queries().tolist() and QUERIES - 1 in half.tolist()


def test_pixel_coordinates_of_masks(draw, device):
    """A query far from the edge of a large picture, which looks at nothing but how far each place lies from it."""
    features, parameters = draw(8, 6, 90), draw(2, PARAMETERS)
    centres = torch.tensor([[701.5, 20.0], [5.0, 5.0]], device=device)
    with torch.autocast("cuda", dtype=torch.bfloat16):
        half = dynamic_masks(features, parameters, centres, 8)
        rounded = dynamic_masks(features.bfloat16(), parameters, centres, 8)
    assert half.dtype == rounded.dtype == torch.float32
    assert torch.equal(half, dynamic_masks(features, parameters, centres, 8))


def test_guidance_and_the_steps_of_the_sampler(draw, device):
    torch.manual_seed(0)
    unet, scheduler, said, steps = tiny_unet().to(device), tiny_scheduler(), [], []
    unet.register_forward_hook(lambda module, inputs, output: said.append(output.sample))

    class Watched(type(scheduler)):
        def step(self, found, timestep, latents, **how):
            steps.append((found, latents))
            return super().step(found, timestep, latents, **how)

    watched = Watched.from_config(scheduler.config)
    noise, context, null = draw(2, 4, 8, 8), draw(2, 3, WIDTH), draw(1, 3, WIDTH).expand(2, -1, -1)
    with torch.autocast("cuda", dtype=torch.bfloat16):
        latents = denoised(unet, watched, noise, context, null, guidance=7.5, steps=2)
    assert latents.dtype == torch.float32
    for of_unet, (found, before) in zip(said, steps, strict=True):
        without, with_context = of_unet.float().chunk(2)
        assert of_unet.dtype == torch.bfloat16 and found.dtype == before.dtype == torch.float32
        assert torch.equal(found, without + 7.5 * (with_context - without))
