"""Whether a folder is labelled pictures: a folder for each class, below split folders or not, and nothing else."""

from collections import defaultdict
from pathlib import PurePosixPath

from cones.data.recognise.layout import Recognised, Tree, split_word

LABELS = (".xml", ".json", ".csv", ".txt", ".yaml", ".yml", ".tsv")  # files that may say more than folders do
ABOUT = ("readme", "license", "licence", "about", "citation")
NO_CLASS = ("image", "images", "img", "imgs", "jpegimages", "pictures", "photos", "mask", "masks", "label", "labels")
SHOWN = 6


def recognise(tree: Tree) -> Recognised | None:
    """None unless all pictures lie in folders of two classes at least, and no file has labels."""
    if any(path.suffix.lower() in LABELS and not path.name.lower().startswith(ABOUT) for path in tree.files):
        return None
    pictures = [PurePosixPath(tree.name(path)).parts for path in tree.pictures]
    top = sorted({parts[0] for parts in pictures})
    words = [name for name in top if split_word(name)]
    if words and len(words) < len(top):
        return None
    above = 1 if words else 0  # folders above a class folder
    if any(len(parts) < above + 2 for parts in pictures):
        return None
    found: defaultdict[str | None, set[str]] = defaultdict(set)
    for parts in pictures:
        found[parts[0] if words else None].add(parts[above])
    classes = sorted(set().union(*found.values()))
    own = {parts[above] for parts in pictures if len(parts) == above + 2}  # classes with pictures directly in them
    if any(len(names) < 2 for names in found.values()) or own < set(classes) or not classes:
        return None
    if any(name.lower() in NO_CLASS for name in classes):
        return None
    where = f"below each of {', '.join(words)}" if words else "in the folder"
    some = ", ".join(classes[:SHOWN]) + (" …" if len(classes) > SHOWN else "")
    return Recognised(
        format=tree.format("class_folders", folders=words or None),
        classes=classes,
        task="classification",
        splits=tuple(words),
        why=(
            f"one folder for each of {len(classes)} classes {where} ({some})",
            f"{len(pictures)} pictures, and no file that says more of them",
        ),
        unknown=(
            "the sentence that names a class: `template`, where it is not a photo of a {}.",
            "what texts call a class, where that is not its folder's name with spaces for underscores: `texts`",
        ),
    )
