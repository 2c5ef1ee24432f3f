"""Whether a folder is an export of CVAT for images 1.1: an XML file that lists the pictures with their shapes."""

from cones.data.formats.cvat import OPEN
from cones.data.recognise.documents import xml_files
from cones.data.recognise.layout import Recognised, Tree, split_word
from cones.runtime.errors import ConesError

ASKED = 20  # file names that say where the pictures lie


def recognise(tree: Tree) -> Recognised | None:
    lists = {
        file: root for file, root in xml_files(tree) if root.tag == "annotations" and root.find("image") is not None
    }
    if not lists:
        return None
    if len(lists) > 1:
        raise ConesError(
            "several CVAT files",
            where=tree.folder,
            found=", ".join(map(tree.name, lists)),
            next_step="make a folder, and so a dataset, of each; or export them as one task",
        )
    ((file, root),) = lists.items()
    images = root.findall("image")
    shapes = [shape for image in images for shape in image if shape.tag not in OPEN]
    named = list(dict.fromkeys((label.findtext("name") or "").strip() for label in root.iter("label")))
    used = {(shape.get("label") or "").strip() for shape in shapes}
    names = [image.get("name") or "" for image in images][:: max(1, len(images) // ASKED)][:ASKED]
    place = tree.folder_with(names, file.parent / "images")
    subsets = list(dict.fromkeys(image.get("subset") or "" for image in images))
    is_split = all(map(split_word, subsets))
    return Recognised(
        format=tree.format("cvat", annotations=tree.name(file), images=tree.name(place) if place else None),
        classes=[name for name in named if name in used] or sorted(used),
        task="instance_segmentation" if shapes and all(s.tag in ("polygon", "mask") for s in shapes) else "detection",
        splits=tuple(subsets) if is_split else (),
        why=(f"{tree.name(file)} lists {len(images)} pictures as CVAT for images does",),
    )
