"""Pictures that belong to no dataset, as detector input: a person's photographs, of which nothing is known."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from cones.data.batches import Sample, View, normalised_pixels, resized_pixels
from cones.data.files import PICTURES, files_below, item_names, plain
from cones.data.images import load_image
from cones.models.detector import Preprocessing
from cones.runtime.errors import ConesError


class LoosePictures:
    """Pictures for `cones.evaluation.prediction.predict`, in the order given; ids from 1, no annotations.

    `sizes`  {picture: (width, height) of the upright picture}
    """

    def __init__(self, sizes: Mapping[Path, tuple[int, int]], preprocessing: Preprocessing):
        self.files, self.preprocessing = list(sizes), preprocessing
        self.images = [
            {"id": number, "width": width, "height": height}
            for number, (width, height) in enumerate(sizes.values(), start=1)
        ]

    def __len__(self) -> int:
        return len(self.images)

    def sample(self, view: View, *, at_test: bool = True) -> Sample:
        """A picture as a test image of a dataset is read: same size, same padding, no target."""
        pixels = resized_pixels(self.files[view.index], view.short_side, self.preprocessing)
        padded = self.preprocessing.pads_at_test or not at_test
        return Sample(view, normalised_pixels(pixels, self.preprocessing, padded=padded), pixels.shape[:2], None)


def pictures_of(places: Sequence[Path]) -> tuple[dict[str, Path], int]:
    """({name: picture}, number of other files) of pictures and folders of pictures, sub-folders too.

    A picture has its file name, one of a folder its path below it. ConesError for what is not there, for a folder
    without pictures and for two pictures of one name.
    """
    named: dict[str, Path] = {}
    others = 0
    for place in places:
        if place.is_dir():
            files = files_below(place)
            pictures = [file for file in files if file.suffix.lower() in PICTURES]
            others += len(files) - len(pictures)
            if not pictures:
                raise ConesError(
                    "no picture here", where=place, expected=" ".join(PICTURES), next_step="name another folder"
                )
            found = {plain(file.relative_to(place).as_posix()): file for file in pictures}
        elif place.is_file():
            found = {plain(place.name): place}
        else:
            raise ConesError("there is no such picture or folder", where=place, next_step="correct the path")
        if twice := named.keys() & found.keys():
            name = min(twice)
            raise ConesError(
                "two pictures have one name",
                where=found[name],
                found=f"also {named[name]}",
                next_step="predict them one after the other, each with a folder of its own (--out)",
            )
        named |= found
    return named, others


def readable(named: Mapping[str, Path]) -> tuple[dict[Path, tuple[int, int]], list[ConesError]]:
    """({picture: (width, height) when upright} of those that can be decoded completely, a fault for each other one)."""
    sizes, faults = {}, []
    for name, file in named.items():
        try:
            sizes[file] = load_image(file).size
        except ConesError as error:
            faults.append(ConesError(error.what, where=name, found=error.found, next_step="mend it or leave it out"))
    return sizes, faults


def drawn_names(names: Sequence[str]) -> dict[str, str]:
    """{name of a picture: name of the PNG that shows it}, with its old suffix kept where two differ only in it."""
    return {name: f"{item}.png" for name, item in item_names(names).items()}
