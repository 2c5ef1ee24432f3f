"""What a picture of pretraining shows, drawn at random, and every statement that is true of it."""

from dataclasses import dataclass

import numpy as np

from cones.miniature.icons import COLOURS
from cones.miniature.objects import EMBLEMS, LOOKS, class_names
from cones.miniature.pretraining.scenes import EMBLEM_SHARE, EMBLEM_WORLD, GROUNDS, SOFT_SHAPES, WORLDS

PLACES = tuple(place.split()[-1] for place in GROUNDS.values())  # "grass" of "on the grass"
SAID_OF_PLACES = dict(zip(PLACES, GROUNDS.values()))
# of figures/shapes.py; "star" and "leaf" are left out: these words name emblems already
SHAPES = {
    **{"circle": "disc", "square": "square", "triangle": "triangle", "rectangle": "bar", "cross": "cross"},
    **{"drop": "drop", "heart": "heart", "arch": "arch", "gear": "gear", "hourglass": "hourglass"},
}
SHOWN_PATTERNS = ("striped", "checked", "spotted", "ringed", "wavy", "zigzag", "grid", "cloudy")
KINDS = {
    "animal": (
        *("bird", "cat", "cow", "dog", "horse", "sheep", "rabbit", "cottontail-rabbit", "raccoon", "crab", "lobster"),
        *("shrimp", "fish", "jellyfish", "penguin", "puffin", "shark", "starfish", "stingray"),
    ),
    "vehicle": (
        *("aeroplane", "bicycle", "boat", "bus", "car", "motorbike", "motorcycle", "train", "truck", "ambulance"),
        "jetski",
    ),
}
PARTS = {
    "wheels": ("bicycle", "bus", "car", "motorbike", "motorcycle", "rider", "train", "truck", "ambulance"),
    "windows": ("bus", "car", "train", "truck", "ambulance", "aeroplane"),
    "wings": ("aeroplane", "bird", "puffin"),
    "legs": ("cat", "cow", "dog", "horse", "sheep", "chair", "diningtable", "person"),
    "a tail": ("cat", "cow", "dog", "horse", "raccoon", "fish", "shark", "stingray"),
    "long ears": ("rabbit", "cottontail-rabbit"),
    "claws": ("crab", "lobster"),
    "fins": ("fish", "shark"),
    "a screen": ("tvmonitor",),
    "arms": ("jellyfish", "starfish"),
}
# what is also true of a figure, besides its own name
ALSO = {
    "motorbike": ("motorcycle",),
    "motorcycle": ("motorbike",),
    "rabbit": ("cottontail-rabbit",),
    "cottontail-rabbit": ("rabbit",),
    "rider": ("bicycle", "person"),
}
MIX = {"thing": 0.64, "shape": 0.20, "pattern": 0.08, "place": 0.04, "soft": 0.04}
RECOLOURED, PATTERNED = 0.3, 0.1  # shares of the things
PATTERNS_OF_THINGS = {"striped": ("stripes", 0.52), "spotted": ("spots", 0.56), "checked": ("checks", 0.42)}

Claim = tuple[str, str]  # ("colour", "red"); the first is one of name, colour, second, pattern, place, kind, part


@dataclass(frozen=True)
class Subject:
    """What one picture shows.

    kind     one of MIX
    name     the thing, shape, soft shape, pattern or place
    place    one of PLACES, where there is one
    world    the world of a thing's looks, never 0
    colour, second  words of `icons.COLOURS`; None where the colours are the thing's own
    pattern  a word of PATTERNS_OF_THINGS
    """

    kind: str
    name: str
    place: str | None = None
    world: int = EMBLEM_WORLD
    colour: str | None = None
    second: str | None = None
    pattern: str | None = None

    @property
    def facts(self) -> frozenset[Claim]:
        """All that may be said of it: a text whose claims are among them is true of the picture."""
        true: set[Claim] = {("name", name) for name in (self.name, *ALSO.get(self.name, ()))}
        said = {"colour": self.colour, "second": self.second, "pattern": self.pattern, "place": self.place}
        true |= {(what, word) for what, word in said.items() if word}
        if self.kind == "thing":
            true |= {("kind", kind) for kind, names in KINDS.items() if self.name in names}
            true |= {("part", part) for part in parts_of(self.name)}
        if self.kind == "pattern":
            true.add(("pattern", self.name))
        return frozenset(true)


def parts_of(name: str) -> list[str]:
    return [part for part, names in PARTS.items() if name in names]


def random_subject(rng: np.random.Generator) -> Subject:
    """One kind of MIX; things by name, emblems less often, each in a world of its own."""
    kind = str(rng.choice(list(MIX), p=list(MIX.values())))
    place = str(rng.choice(PLACES))
    colour, second = (str(word) for word in rng.choice(list(COLOURS), 2, replace=False))
    if kind == "thing":
        return _thing(rng, place, colour, second)
    if kind == "shape":
        flat = rng.uniform() < 0.5
        return Subject(kind, str(rng.choice(list(SHAPES))), None if flat else place, colour=colour, second=second)
    if kind == "pattern":
        return Subject(kind, str(rng.choice(SHOWN_PATTERNS)), colour=colour, second=second)
    return Subject(kind, place, place) if kind == "place" else Subject(kind, str(rng.choice(SOFT_SHAPES)))


def _thing(rng: np.random.Generator, place: str, colour: str, second: str) -> Subject:
    names = class_names()
    share = np.array([EMBLEM_SHARE if name in EMBLEMS else 1.0 for name in names])
    name = str(rng.choice(names, p=share / share.sum()))
    world = EMBLEM_WORLD if name in EMBLEMS else int(rng.integers(1, WORLDS))
    recoloured = rng.uniform() < RECOLOURED and (name in LOOKS or name in EMBLEMS)
    patterned = recoloured and name in LOOKS and rng.uniform() < PATTERNED / RECOLOURED
    return Subject(
        "thing",
        name,
        place,
        world,
        colour=colour if recoloured else None,
        second=second if recoloured else None,
        pattern=str(rng.choice(list(PATTERNS_OF_THINGS))) if patterned else None,
    )
