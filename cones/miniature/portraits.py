"""Portraits: one thing, large and near the middle of a small square picture, for sets that name pictures as a whole."""

from collections.abc import Sequence

import numpy as np

from cones.miniature.canvas import Canvas, Colour, Patch, blob
from cones.miniature.figures.figure import Figure
from cones.miniature.objects import Draw, look_of, paint_object
from cones.miniature.scenes import Background, develop

SIZES = (0.27, 0.42)  # half of the thing's length, as a share of the picture's side


def paint_portrait(
    name: str,
    rng: np.random.Generator,
    side: int,
    *,
    background: Background,
    world: int = 0,
    spread: float = 1.0,
    colours: Sequence[Colour] | None = None,
    texture: tuple[str, float] | None = None,
) -> Canvas:
    """A canvas of `side` x `side` with one piece of class `name` as it looks in `world`.

    `colours` (main, second) replace its own; `texture` (a kind of `figures.figure.TEXTURES`, its pitch) is laid in the
    second colour over what has the main one.
    """
    canvas = Canvas(side, side)
    ground = background(canvas, rng)
    size = side * rng.uniform(*SIZES)
    draw = None if texture is None else _textured(look_of(name, world).draw, *texture)
    sprite = paint_object(name, rng, size, world=world, spread=spread, colours=colours, draw=draw)
    x, y = side * rng.uniform(0.42, 0.58, 2)
    if rng.uniform() < 0.5:
        _shadow(canvas, x, y + 0.7 * size, size)
    depth = rng.uniform(0, ground.fade[1])
    sprite.place(canvas, x, y, haze=ground.haze, depth=depth, light=rng.uniform(0.1, 0.26))
    develop(canvas, rng)
    return canvas


def _shadow(canvas: Canvas, x: float, y: float, size: float) -> None:
    shade = blob(x, y, 0.8 * size, 0.16 * size)
    soft = Patch(shade.patch.left, shade.patch.top, np.clip(1.1 - shade.radius, 0, 1).astype(np.float32))
    canvas.paint(soft, (20, 20, 26), opacity=0.3)


def _textured(draw: Draw, kind: str, pitch: float) -> Draw:
    def with_texture(figure: Figure, rng: np.random.Generator, colours: Sequence[Colour]) -> None:
        draw(figure, rng, colours)
        figure.texture_on(colours[0], kind, colours[1], rng, pitch=pitch)

    return with_texture
