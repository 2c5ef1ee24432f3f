"""Whether a folder is pictures with mask pictures: twin folders of pictures with the same names."""

from pathlib import Path

from cones.data.files import without_suffix
from cones.data.formats.masks import LOSSY, values_of
from cones.data.recognise.layout import Recognised, Tree, split_word
from cones.runtime.errors import ConesError

MASKS = ("mask", "label", "annotation", "segment", "groundtruth", "ground_truth", "gt")  # in the name of a folder
SUFFIXES = ("", "_mask", "_masks", "_label", "_labels", "_gt", "_seg", "_segmentation", "-mask", "_m")
LOOKED_AT = 60  # masks, to see which values their pixels have
MOST_VALUES = 40  # of a mask whose pixels hold numbers of classes
WHITE = 255


def recognise(tree: Tree) -> Recognised | None:
    pairs = _pairs(tree)
    if not pairs:
        return None
    suffixes = {suffix for _, _, suffix in pairs}
    if len(suffixes) > 1:
        raise ConesError(
            "masks are named in several ways",
            where=tree.folder,
            found=", ".join(sorted(suffixes)),
            next_step="rename them in one way",
        )
    words = [_word(tree, images, masks) for images, masks, _ in pairs]
    if len(pairs) > 1 and (None in words or len(set(words)) < len(words)):
        raise ConesError(
            "several pairs of folders may be pictures and masks, and they are no splits",
            where=tree.folder,
            found="; ".join(f"{tree.name(images)} with {tree.name(masks)}" for images, masks, _ in pairs),
            next_step="name them train, val and test, or leave one pair in the folder",
        )
    files = [path for _, masks, _ in pairs for path in tree.pictures if path.is_relative_to(masks)]
    values, notes = _values(tree, files)
    classes = list(dict.fromkeys(name for name in values.values() if name)) if values else ["object"]
    folders = [
        {"images": tree.name(images), "masks": tree.name(masks)}
        | ({"split": word, "prefix": f"{word}/"} if word and len(pairs) > 1 else {})
        for (images, masks, _), word in zip(pairs, words)
    ]
    return Recognised(
        format=tree.format(
            "masks",
            folders=folders,
            mask_suffix=suffixes.pop() or None,
            values=values,
            keep_masks=True,
            allow_empty=True,
        ),
        classes=classes,
        task="instance_segmentation",
        splits=tuple(word for word in words if word) if len(pairs) > 1 else (),
        why=(
            "; ".join(
                f"pictures in {tree.name(images)}, masks of the same names in {tree.name(masks)}"
                for images, masks, _ in pairs
            ),
            "each region of a mask is an object (`objects: components`), and a mask without one shows nothing",
        ),
        unknown=notes,
    )


def _pairs(tree: Tree) -> list[tuple[Path, Path, str]]:
    """(pictures, masks, what a mask's name has beyond its picture's) of folders, most of whose pictures have a mask."""
    places = sorted({path.parent for path in tree.pictures})
    stems = {
        place: {without_suffix(p.relative_to(place)) for p in tree.pictures if p.parent == place} for place in places
    }
    pairs = []
    for masks in (place for place in places if _is_of_masks(tree, place)):
        best: tuple[int, Path, str] | None = None
        for images in places:
            if images == masks or _is_of_masks(tree, images) or not _are_twins(tree, images, masks):
                continue
            for suffix in SUFFIXES:
                shared = len({f"{stem}{suffix}" for stem in stems[images]} & stems[masks])
                if 2 * shared > len(stems[images]) and (best is None or shared > best[0]):
                    best = (shared, images, suffix)
        if best:
            pairs.append((best[1], masks, best[2]))
    return pairs


def _is_of_masks(tree: Tree, place: Path) -> bool:
    return any(word in part.lower() for part in Path(tree.name(place)).parts for word in MASKS)


def _are_twins(tree: Tree, images: Path, masks: Path) -> bool:
    """Whether two folders are of one split, or of none."""
    return split_word(tree.name(images)) == split_word(tree.name(masks))


def _word(tree: Tree, images: Path, masks: Path) -> str | None:
    """The files' own word for the split of a pair, the part of both paths that speaks of one."""
    shared = [part for part in Path(tree.name(images)).parts if part in Path(tree.name(masks)).parts]
    return next((part for part in shared if split_word(part)), None)


def _values(tree: Tree, files: list[Path]) -> tuple[dict[int, str | None] | None, tuple[str, ...]]:
    """(`values` of the entry, or None for white on black; what the masks do not say)."""
    looked = files[:: max(1, len(files) // LOOKED_AT)][:LOOKED_AT]
    white = "the class of what is white is written `object`: say its name in `classes`, it is what captions say"
    if all(path.suffix.lower() in LOSSY for path in looked):
        return None, (white,)
    found: set[int] = set()
    for path in looked:
        pixels = values_of(path)
        if pixels is None:
            raise ConesError(
                "the masks have colours, not numbers of classes",
                where=tree.name(path),
                next_step="write them as grey pictures: 0 for background, 1, 2, … for the classes",
            )
        found |= set(pixels.ravel().tolist())
    found.discard(0)
    if found == {WHITE}:
        return None, (white,)
    if len(found) > MOST_VALUES:
        return None, (white, "the masks have many grey values: what is above `threshold: 127` is an object")
    classes: dict[int, str | None] = {value: f"class {value}" for value in sorted(found)}
    notes = ["the masks hold numbers: their names are written `class 1` …; say them in `classes` and `values`"]
    if WHITE in classes:
        classes[WHITE] = None
        notes.append("255 beside other numbers is taken as not annotated (`values`)")
    return classes, tuple(notes)
