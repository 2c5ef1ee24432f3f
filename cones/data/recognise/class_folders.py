"""Whether a folder is labelled pictures: a folder for each class, below split folders or not, and nothing else."""

from collections import defaultdict
from pathlib import Path, PurePosixPath

from cones.data.recognise.layout import WORDS, Recognised, Tree, split_word
from cones.runtime.errors import ConesError

LABELS = (".xml", ".json", ".csv", ".txt", ".yaml", ".yml", ".tsv")  # files that may say more than folders do
ABOUT = ("readme", "license", "licence", "about", "citation")
NO_CLASS = ("image", "images", "img", "imgs", "jpegimages", "pictures", "photos", "mask", "masks", "label", "labels")
SHOWN = 6


def recognise(tree: Tree) -> Recognised | None:
    """None unless all pictures lie in folders of two classes at least, and no file may have labels."""
    return None if _obstacle(tree) or _file_with_labels(tree) else _recognised(tree)


def recognise_asked(tree: Tree) -> Recognised:
    """As `recognise`, for somebody who says that folders are the classes: files that may have labels are passed over.

    ConesError that says what is in the way.
    """
    if obstacle := _obstacle(tree):
        raise ConesError(
            f"these are no class folders: {obstacle}",
            where=tree.folder,
            expected="pictures in one folder for each of two classes or more, below train, val and test or directly",
            found=tree.seen(),
            next_step="put the pictures into such folders",
        )
    return _recognised(tree)


def almost(tree: Tree) -> str | None:
    """Why a folder that no format fits is not of class folders either, in a line; None if it has no pictures."""
    if not tree.pictures:
        return None
    if obstacle := _obstacle(tree):
        return f"for class folders, {obstacle}"
    if (file := _file_with_labels(tree)) is None:
        return None
    return (
        f"for class folders, {tree.name(file)} may say more of the pictures: move such files away, or say "
        "--format class_folders to pass them over"
    )


def _file_with_labels(tree: Tree) -> Path | None:
    """The first file that may say more of the pictures than their folders do."""
    files = (path for path in tree.files if path.suffix.lower() in LABELS)
    return next((path for path in files if not path.name.lower().startswith(ABOUT)), None)


def _layout(tree: Tree) -> tuple[list[str], dict[str | None, set[str]]]:
    """(the files' own words for splits, train first, {word or None: its class folders})."""
    pictures = [PurePosixPath(tree.name(path)).parts for path in tree.pictures]
    words = [name for name in {parts[0] for parts in pictures} if split_word(name)]
    found: defaultdict[str | None, set[str]] = defaultdict(set)
    above = 1 if words else 0  # folders above a class folder
    for parts in pictures:
        if len(parts) >= above + 2:
            found[parts[0] if words else None].add(parts[above])
    return sorted(words, key=lambda name: (list(WORDS).index(split_word(name)), name)), found


def _obstacle(tree: Tree) -> str | None:
    """What says that folders are not the classes of all pictures; None if nothing does."""
    pictures = [PurePosixPath(tree.name(path)).parts for path in tree.pictures]
    if not pictures:
        return "no picture is there"
    words, found = _layout(tree)
    above = 1 if words else 0  # folders above a class folder
    if words and (others := sorted({parts[0] for parts in pictures} - set(words))):
        return f"{others[0]} lies beside {', '.join(words)}"
    if loose := [parts for parts in pictures if len(parts) < above + 2]:
        return f"{'/'.join(loose[0])} lies in no folder of a class"
    if few := [word for word in words or [None] if len(found[word]) < 2]:
        place = f" of {few[0]}" if few[0] else ""
        return f"all pictures{place} are of one class ({next(iter(found[few[0]]))})"
    classes = set().union(*found.values())
    own = {parts[above] for parts in pictures if len(parts) == above + 2}  # classes with pictures directly in them
    if own < classes:
        return f"no picture lies directly in {sorted(classes - own)[0]}"
    if general := sorted(name for name in classes if name.lower() in NO_CLASS):
        return f'"{general[0]}" is no name of a class'
    return None


def _recognised(tree: Tree) -> Recognised:
    words, found = _layout(tree)
    classes = sorted(set().union(*found.values()))
    passed = _file_with_labels(tree)
    where = f"below each of {', '.join(words)}" if words else "in the folder"
    some = ", ".join(classes[:SHOWN]) + (" …" if len(classes) > SHOWN else "")
    return Recognised(
        format=tree.format("class_folders", folders=words or None),
        classes=classes,
        task="classification",
        splits=tuple(words),
        why=(
            f"one folder for each of {len(classes)} classes {where} ({some})",
            f"{len(tree.pictures)} pictures, and "
            + (f"{tree.name(passed)} is passed over" if passed else "no file that says more of them"),
        ),
        unknown=(
            "the sentence that names a class: `template`, where it is not a photo of a {}.",
            "what texts call a class, where that is not its folder's name with spaces for underscores: `texts`",
        ),
    )
