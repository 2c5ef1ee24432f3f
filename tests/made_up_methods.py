"""Methods that exist for tests alone: each uses one thing that a `TuningMethod` may add."""

import torch
from torch import nn

from cones.methods.method import TuningMethod
from cones.methods.prompts import Prompt, encode_caption
from cones.models.additions import add_module
from cones.models.language import LanguageFeatures
from cones.models.losses import LossTerm
from cones.search import ConceptEmbedding, ConceptEmbeddingSearch

METHOD = {
    "name": "conditional",
    "class": "ConditionalPromptTuning",
    "label": "Conditional prompt tuning",
    "block": "control",
    "inputs": ["text_encoder"],
    "has_vectors": False,
}


# ----------------------------------------------------------------------------------- a prompt that looks at the image


class CaptionSeenWithImage(Prompt):
    """As in CoCoOp: a small network makes of an image's pooled features a shift of the caption's words, which then go
    through the frozen text encoder, image by image."""

    is_static = False

    def __init__(self, *, text_encoder, encoded, channels: int, generator: torch.Generator):
        super().__init__()
        self.text_encoder = text_encoder
        width = text_encoder.width
        self.net = nn.Sequential(nn.Linear(channels, 8), nn.ReLU(), nn.Linear(8, width))
        for parameter in self.net.parameters():
            parameter.data = torch.randn(parameter.shape, generator=generator) * 0.05
        self.register_buffer("ids", encoded.ids, persistent=False)  # (L,)
        self.register_buffer("class_positions", encoded.class_positions[None], persistent=False)  # (1, K, L)

    def forward(self, context):
        pooled = torch.stack([level.mean(dim=(2, 3)) for level in context.pyramid.maps]).mean(dim=0)  # (B, C)
        words = self.text_encoder.embeddings.word_embeddings(self.ids)  # (L, D)
        pooled = nn.functional.layer_norm(pooled, pooled.shape[1:])
        words = words + self.net(pooled)[:, None]  # (B, L, D)
        mask = torch.ones(words.shape[:2], dtype=torch.bool, device=words.device)
        hidden = self.text_encoder(inputs_embeds=words, mask=mask)
        return LanguageFeatures(hidden, mask, self.class_positions.expand(len(words), -1, -1))


class ConditionalPromptTuning(TuningMethod):
    CHANNELS = 48  # of nano GLIP's feature maps

    def prompt(self, model, prompt_inputs):
        encoded = encode_caption(prompt_inputs.tokenizer, prompt_inputs.phrases)
        return CaptionSeenWithImage(
            text_encoder=prompt_inputs.text_encoder,
            encoded=encoded,
            channels=self.CHANNELS,
            generator=prompt_inputs.generator,
        )

    def trainable(self, name, model):
        return name.startswith("prompt.net.")


# ----------------------------------------------------------------------------------------- terms, gradients, epochs


class PulledToOne(ConceptEmbeddingSearch):
    """A loss term of its own, a mean over images: how far the vectors are from one."""

    weight = 1.0

    def loss_terms(self, model, prompt, predictions, targets):
        distance = (prompt.vectors - 1).square().mean()
        return {"distance": LossTerm(self.weight * len(targets) * distance, torch.tensor(float(len(targets))))}

    def normalisers(self, targets, size):
        return {"distance": torch.tensor(float(len(targets)))}


class ForgetsToPromise(PulledToOne):
    def normalisers(self, targets, size):
        return {}


class TakesAName(ConceptEmbeddingSearch):
    """Calls its term as the detector calls one of its own."""

    def loss_terms(self, model, prompt, predictions, targets):
        return {"classification": LossTerm(prompt.vectors.sum(), torch.tensor(1.0))}

    def normalisers(self, targets, size):
        return {"classification": torch.tensor(1.0)}


class FirstClassStays(ConceptEmbeddingSearch):
    """A rule on gradients: the vectors of class 0 get none."""

    def __init__(self):
        self.steps = []

    def adjust_gradients(self, trained, step, separate):
        self.steps.append(step)
        trained["prompt.vectors"].grad[0] = 0


class PulledAcross(PulledToOne):
    """As ProGrad: of the pull, only what does not work against the detector's own losses."""

    separate_terms = ("distance",)

    def adjust_gradients(self, trained, step, separate):
        vectors, pull = trained["prompt.vectors"], separate["distance"]["prompt.vectors"]
        against = (pull * vectors.grad).sum().clamp(max=0) / vectors.grad.square().sum()
        vectors.grad += pull - against * vectors.grad


class CentredConcept(ConceptEmbedding):
    """Concept embeddings relative to a centre that is no parameter."""

    def __init__(self, vectors):
        super().__init__(vectors)
        self.register_buffer("centre", torch.zeros(vectors.shape[-1]))

    def forward(self, context):
        return LanguageFeatures.of_tokens_per_class(self.vectors + self.centre)


class CentredAnew(ConceptEmbeddingSearch):
    """Before each epoch the centre moves to the mean image feature, further with each epoch."""

    def __init__(self):
        self.epochs = []

    def prompt(self, model, prompt_inputs):
        return CentredConcept(super().prompt(model, prompt_inputs).vectors.data)

    def before_epoch(self, model, prompt, epoch, images):
        self.epochs.append(epoch)
        means = [found.pyramid.maps[0].mean(dim=(0, 2, 3)) for found in images()]
        prompt.centre += torch.stack(means).mean(dim=0) * (epoch + 1)


class LastEpochCounts(ConceptEmbeddingSearch):
    selection = "none"


class NeedsMasks(ConceptEmbeddingSearch):
    labels = frozenset({"masks"})


# ------------------------------------------------------------------------------------------- test time, image encoder


class SecondLook(ConceptEmbeddingSearch):
    """A rule for test time: scores are the mean of those with the vectors as they are and halved."""

    def detect(self, model, prompt, pyramid):
        language = prompt.for_images(pyramid)
        halved = LanguageFeatures(language.hidden / 2, language.mask, language.class_positions)
        looks = [model.detect(model.ground(pyramid, each)) for each in (language, halved)]
        for first, second in zip(*looks):
            first.scores = (first.scores + second.scores) / 2
        return looks[0]


class LowRank(nn.Module):
    """output + B A input of a 1x1 convolution; B starts at zero."""

    def __init__(self, channels: int, out: int, generator: torch.Generator):
        super().__init__()
        self.a = nn.Parameter(torch.randn(2, channels, generator=generator))
        self.b = nn.Parameter(torch.zeros(out, 2))
        self.register_buffer("calls", torch.zeros(1))

    def forward(self, output, maps):
        self.calls += self.training
        return output + torch.einsum("or,rc,bchw->bohw", self.b, self.a, maps)


class LowRankEncoder(ConceptEmbeddingSearch):
    """Low-rank weights beside the last convolution of the toy detector's image encoder, and a shift before its stem."""

    def extend(self, model, prompt_inputs):
        add_module(model, "body.1", "low_rank", LowRank(6, 8, prompt_inputs.generator), changes="output")
        add_module(model, "stem", "shift", Shift(), changes="input")

    def trainable(self, name, model):
        return name.startswith(("model.body.1.low_rank.", "model.stem."))

    def set_modes(self, model, prompt):
        model.train()


class Shift(nn.Module):
    def __init__(self):
        super().__init__()
        self.by = nn.Parameter(torch.zeros(3, 1, 1))

    def forward(self, pixels):
        return pixels + self.by
