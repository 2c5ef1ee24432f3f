"""Thirty subjects, four to six pictures each, packed as the DreamBooth repository.

A subject is one particular icon: its figure, colours and pattern stay, place, shade and pose change; so bold that the
nano model can draw it. The text file of class words and prompts is that of github.com/google/dreambooth (CC BY 4.0),
word for word.
"""

import itertools
from dataclasses import replace
from importlib import resources

import numpy as np

from cones.data.registry import Dataset, Source
from cones.miniature.icons import PLACES, Icon, paint_icon
from cones.miniature.layouts import ORIGIN, Page, jpeg
from cones.miniature.painter import Drawn, Painted

PROMPTS = "dreambooth_prompts_and_classes.txt"
SOMEWHERE = next(iter(PLACES))  # a subject's place is another in each picture


def _subject(noun: str, main: str, second: str, pattern: str = "plain", figure: int = 0) -> Icon:
    return Icon(noun, main, second, pattern, SOMEWHERE, figure)


# subject -> (pictures, its icon); class words are those of the text file
SUBJECTS: dict[str, tuple[int, Icon]] = {
    "backpack": (6, _subject("backpack", "red", "orange")),
    "backpack_dog": (5, _subject("backpack", "orange", "white", figure=1)),
    "bear_plushie": (5, _subject("stuffed animal", "brown", "white")),
    "berry_bowl": (6, _subject("bowl", "white", "red")),
    "can": (6, _subject("can", "blue", "yellow", "striped")),
    "candle": (5, _subject("candle", "white", "green")),
    "cat": (5, _subject("cat", "orange", "white", "striped")),
    "cat2": (5, _subject("cat", "grey", "white")),
    "clock": (6, _subject("clock", "yellow", "white")),
    "colorful_sneaker": (5, _subject("sneaker", "green", "pink", "checked")),
    "dog": (5, _subject("dog", "orange", "brown")),
    "dog2": (6, _subject("dog", "white", "orange", figure=1)),
    "dog3": (6, _subject("dog", "black", "brown")),
    "dog5": (5, _subject("dog", "brown", "black", "spotted")),
    "dog6": (5, _subject("dog", "orange", "white", figure=1)),
    "dog7": (5, _subject("dog", "white", "black", "spotted")),
    "dog8": (5, _subject("dog", "grey", "black")),
    "duck_toy": (4, _subject("toy", "yellow", "orange", figure=0)),
    "fancy_boot": (6, _subject("boot", "white", "brown", "spotted")),
    "grey_sloth_plushie": (5, _subject("stuffed animal", "grey", "white", figure=2)),
    "monster_toy": (5, _subject("toy", "green", "yellow", figure=1)),
    "pink_sunglasses": (6, _subject("glasses", "pink", "purple")),
    "poop_emoji": (5, _subject("toy", "brown", "white", figure=3)),
    "rc_car": (5, _subject("toy", "blue", "black", figure=4)),
    "red_cartoon": (4, _subject("cartoon", "red", "pink")),
    "robot_toy": (5, _subject("toy", "grey", "blue", figure=2)),
    "shiny_sneaker": (6, _subject("sneaker", "yellow", "white")),
    "teapot": (5, _subject("teapot", "blue", "white", "spotted")),
    "vase": (6, _subject("vase", "red", "yellow", "striped")),
    "wolf_plushie": (5, _subject("stuffed animal", "black", "white", figure=1)),
}


def paint(rng: np.random.Generator, classes: list[str], index: int) -> Painted:
    """Picture `index` of all subjects in the order of `classes`: one subject, large, in one of PLACES."""
    owners = list(itertools.chain.from_iterable([name] * SUBJECTS[name][0] for name in classes))
    subject = owners[index]
    icon = replace(SUBJECTS[subject][1], place=list(PLACES)[index % len(PLACES)])
    picture, box = paint_icon(icon, rng, 8 * int(rng.integers(20, 25)))
    return Painted(picture, [Drawn(subject, box)])


def layout(dataset: Dataset, source: Source, pages: list[Page]) -> dict[str, bytes]:
    """GitHub's zip of the repository: one top folder, dataset/<subject>/00.jpg … and the text files."""
    top = f"{source.archives[0].strip}"
    root = f"{top}/{source.format.parameters['root']}"
    text = resources.files("cones.miniature").joinpath(PROMPTS).read_bytes()
    files = {
        f"{top}/README.md": f"# DreamBooth\n{ORIGIN}\n".encode(),
        f"{root}/prompts_and_classes.txt": text,
        f"{root}/references_and_licenses.txt": f"{ORIGIN}\n".encode(),
    }
    for subject, members in itertools.groupby(pages, key=lambda page: page.painted.objects[0].class_name):
        for number, page in enumerate(members):
            files[f"{root}/{subject}/{number:02d}.jpg"] = jpeg(page)
    return files
