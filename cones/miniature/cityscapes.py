"""Streets with eight kinds of road users, packed as Cityscapes: leftImg8bit, and gtFine with polygons and id images."""

import io
import json
from dataclasses import replace

import numpy as np
from PIL import Image, ImageDraw

from cones.data.registry import Dataset, Source
from cones.miniature import backgrounds
from cones.miniature.canvas import Canvas, Patch
from cones.miniature.layouts import ORIGIN, Page
from cones.miniature.painter import Drawn, Painted
from cones.miniature.scenes import Piece, Setting, Visible, arrange, develop, put

WIDTH, HEIGHT = 256, 128
SETTING = Setting((backgrounds.street,), (4, 8), unit=25, vary=0.2)
LABEL_IDS = {"person": 24, "rider": 25, "car": 26, "truck": 27, "bus": 28, "train": 31, "motorcycle": 32, "bicycle": 33}
STUFF_IDS = {"unlabeled": 0, "out of roi": 3, "road": 7, "building": 11, "sky": 23}
CITIES = {"train": ("aachen", "bremen", "zurich"), "val": ("frankfurt", "munster"), "test": ("berlin",)}


def paint(rng: np.random.Generator, classes: list[str], index: int) -> Painted:
    """A street of WIDTH x HEIGHT with two classes in turn, a few more, and in every third picture a group of people
    that is annotated as a crowd."""
    canvas = Canvas(WIDTH, HEIGHT)
    ground = backgrounds.street(canvas, rng)
    wanted = [classes[index % len(classes)], classes[(3 * index + 2) % len(classes)]]
    more = int(rng.integers(*SETTING.count)) - 2
    wanted += [classes[int(rng.integers(len(classes)))] for _ in range(more)]
    shown: list[Visible] = []
    drawn = [_group(canvas, ground, rng, shown)] if index % 3 == 0 else []
    for piece, patch in put(arrange(wanted, canvas, ground, SETTING, rng), canvas, ground, SETTING, rng, shown):
        drawn.append(Drawn(piece.name, canvas.clip(patch.box), outline([patch])))
    develop(canvas, rng)
    return Painted(canvas.image(), [replace(one, mask=mask) for one, mask in zip(drawn, _visible(drawn))])


def _group(canvas: Canvas, ground: backgrounds.Ground, rng, shown: list[Visible]) -> Drawn:
    """Far pedestrians, close together."""
    x, foot, size = rng.uniform(30, WIDTH - 60), ground.horizon + 5, rng.uniform(8, 10)
    people = [Piece("person", size, x + 5.5 * k, 0, 1.0, foot + rng.uniform(-1, 1)) for k in range(4)]
    patches = [patch for person in people for _, patch in put([person], canvas, ground, SETTING, rng)]
    shown += [Visible(patch, canvas) for patch in patches]
    boxes = np.array([canvas.clip(patch.box) for patch in patches])
    box = (*boxes[:, :2].min(axis=0).tolist(), *boxes[:, 2:].max(axis=0).tolist())
    return Drawn("person", box, outline(patches), crowd=True)


def outline(patches: list[Patch]) -> tuple[tuple[int, int], ...]:
    """A polygon around shapes as an annotator clicks it: down the right edges, up the left ones, in the picture."""
    covered = np.zeros((HEIGHT, WIDTH), bool)
    for patch in patches:
        rows, columns = np.nonzero(patch.alpha > 0.5)
        rows, columns = rows + patch.top, columns + patch.left
        inside = (rows >= 0) & (rows < HEIGHT) & (columns >= 0) & (columns < WIDTH)
        covered[rows[inside], columns[inside]] = True
    lines = [(int(y), np.flatnonzero(covered[y])) for y in np.flatnonzero(covered.any(axis=1))]
    right = [(int(columns[-1]), y) for y, columns in lines]
    left = [(int(columns[0]), y) for y, columns in lines]
    return tuple(right + left[::-1])


def _visible(drawn: list[Drawn]) -> list[np.ndarray]:
    """What the outlines leave of each other, later ones over earlier: (HEIGHT, WIDTH) bool each."""
    numbers = Image.new("I", (WIDTH, HEIGHT), 0)
    for number, one in enumerate(drawn, start=1):
        ImageDraw.Draw(numbers).polygon(one.outline, fill=number)
    return [np.asarray(numbers) == number for number in range(1, len(drawn) + 1)]


def layout(dataset: Dataset, source: Source, pages: list[Page]) -> dict[str, dict[str, bytes]]:
    """The two zips. As in the real ones, test has pictures but no labels worth the name."""
    labels, pictures = {"README": ORIGIN.encode()}, {"README": ORIGIN.encode()}
    for page in pages:
        cities = CITIES[page.split]
        city = cities[page.index % len(cities)]
        stem = f"{page.split}/{city}/{city}_{page.index:06d}_000019"
        pictures[f"leftImg8bit/{stem}_leftImg8bit.png"] = _png(page.painted.image)
        _add_labels(labels, stem, _polygons(page), page.painted.image.size)
    test = [page for page in pages if page.split == "val"][:2]
    for page in test:
        stem = f"test/berlin/berlin_{page.index:06d}_000019"
        pictures[f"leftImg8bit/{stem}_leftImg8bit.png"] = _png(
            page.painted.image.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
        )
        withheld = [{"label": "out of roi", "polygon": _rectangle(0, 0, WIDTH - 1, HEIGHT - 1)}]
        _add_labels(labels, stem, withheld, page.painted.image.size)
    files = {"gtFine": labels, "leftImg8bit": pictures}
    return {archive.filename: files[archive.filename.split("_")[0]] for archive in source.archives}


def _rectangle(left: int, top: int, right: int, bottom: int) -> list[list[int]]:
    return [[left, top], [right, top], [right, bottom], [left, bottom]]


def _polygons(page: Page) -> list[dict]:
    """The objects of one picture, far to near, with a deleted object and number plates, which do not count."""
    half = HEIGHT // 2
    found = [
        {"label": "sky", "polygon": _rectangle(0, 0, WIDTH - 1, half)},
        {"label": "building", "polygon": _rectangle(0, half // 4, WIDTH - 1, half)},
        {"label": "road", "polygon": _rectangle(0, half, WIDTH - 1, HEIGHT - 1)},
        {"label": "car", "polygon": _rectangle(1, 1, 20, 12), "deleted": 1},
    ]
    for one in page.painted.objects:
        label = f"{one.class_name}group" if one.crowd else one.class_name
        found.append({"label": label, "polygon": [list(point) for point in one.outline]})
        if one.class_name == "car":
            x, y = one.box[0] + 2, one.box[3] - 4
            found.append({"label": "license plate", "polygon": _rectangle(x, y, x + 3, y + 1)})
    return found


def _add_labels(files: dict[str, bytes], stem: str, objects: list[dict], size: tuple[int, int]) -> None:
    """polygons.json, and from it instanceIds.png (16 bit) and labelIds.png as the dataset's own tools make them."""
    document = {"imgHeight": size[1], "imgWidth": size[0], "objects": objects}
    files[f"gtFine/{stem}_gtFine_polygons.json"] = json.dumps(document).encode()
    instances, labels = Image.new("I", size, 0), Image.new("L", size, 0)
    pens, seen = (ImageDraw.Draw(instances), ImageDraw.Draw(labels)), dict.fromkeys(LABEL_IDS, 0)
    for one in objects:
        name, points = one["label"].removesuffix("group"), [tuple(point) for point in one["polygon"]]
        if one.get("deleted") or name == "license plate":
            continue
        number = LABEL_IDS.get(name, STUFF_IDS.get(name, 0))
        value = number
        if one["label"] in LABEL_IDS:
            value = 1000 * number + seen[name]
            seen[name] += 1
        pens[0].polygon(points, fill=value)
        pens[1].polygon(points, fill=number)
    deep = Image.fromarray(np.asarray(instances).astype(np.uint16))
    files[f"gtFine/{stem}_gtFine_instanceIds.png"] = _png(deep)
    files[f"gtFine/{stem}_gtFine_labelIds.png"] = _png(labels)


def _png(image: Image.Image) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, "PNG", compress_level=3)
    return buffer.getvalue()
