"""What `sd_nano` is made of and how each part is trained."""

from dataclasses import dataclass

SIDE = 32  # pixels
LATENT_CHANNELS, LATENT_SIDE = 8, 8
TEXT_WIDTH, TEXT_POSITIONS = 64, 24
PICTURES = 28_000  # painted once; the autoencoder and the denoiser learn from the same
HELD_OUT = 512  # of them, the first ones, are only scored


@dataclass(frozen=True)
class Stage:
    """AdamW, linear warm-up, cosine to `final_rate`, gradient norm clipped, a moving average of the weights is kept.

    images   pictures seen in all, drawn with replacement
    average  weight of the past in the moving average
    """

    images: int
    batch_size: int
    learning_rate: float
    warmup_steps: int = 100
    final_rate: float = 0.02
    betas: tuple[float, float] = (0.9, 0.99)
    weight_decay: float = 0.01
    clip_norm: float = 1.0
    average: float = 0.998
    seed: int = 0

    @property
    def steps(self) -> int:
        return self.images // self.batch_size


AUTOENCODER = Stage(images=40_000, batch_size=8, learning_rate=2e-3)
DENOISER = Stage(images=150_000, batch_size=32, learning_rate=1.5e-3)
# a second round from the averaged weights of the first, which draws nouns and colours right but no pattern yet
DENOISER_AGAIN = Stage(images=240_000, batch_size=32, learning_rate=1.5e-3, seed=1)
CLASSIFIER = Stage(images=48_000, batch_size=32, learning_rate=2e-3)
CAPTIONS_LEFT_OUT = 0.1  # share of training pictures that are said to be "", for classifier-free guidance
