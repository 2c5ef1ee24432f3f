"""Decoding of pictures of any format to upright 8-bit RGB; no other module opens pictures."""

import io
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image, ImageOps

from cones.data.files import is_lfs_pointer
from cones.data.turning import QUARTER_TURNS
from cones.runtime.errors import ConesError

AGAIN = "get this file anew: fetch the dataset again, or mend it where the mirror has it"
ORIENTATION = 0x0112  # EXIF's tag
SMALL = (64, 64)  # to which a JPEG may be decoded that is only checked
DEEP_GREY = ("I;16", "I;16L", "I;16B", "I;16N", "I")


class Picture(NamedTuple):
    """A decoded picture: upright RGB, and how it is stored."""

    image: Image.Image
    stored_size: tuple[int, int]  # (width, height)
    orientation: int  # EXIF's; 1: as shown
    frames: int  # of an animation or of pages; a phone's previews (MPO) are none
    deep: bool  # more than 8 bits of grey


def load_image(path: str | Path) -> Image.Image:
    """Decode `path` completely into an RGB picture, 8 bits a channel.

    EXIF orientation   applied, so width and height are those of the upright picture
    16-bit grey        divided by 256 if any value exceeds 255, else taken as 8-bit (no stretching: equal grey values
                       stay equal across pictures)
    alpha              laid over white; palette, grey, 1-bit, CMYK: converted by Pillow
    animation          the first frame

    Raises ConesError naming the file if it is missing, empty, cut short, not a picture, or float-valued.
    """
    return load_picture(path).image


def load_picture(path: str | Path) -> Picture:
    """`load_image`, with what is known of the file."""
    path = Path(path)
    with _decoding(path) as picture:
        orientation = picture.getexif().get(ORIENTATION, 1)
        frames = 1 if picture.format == "MPO" else getattr(picture, "n_frames", 1)
        rgb = as_rgb(ImageOps.exif_transpose(picture), path)
        return Picture(rgb, picture.size, orientation, frames, picture.mode in DEEP_GREY)


def require_decodable(path: str | Path, content: bytes) -> None:
    """ConesError naming the file if these bytes of it do not decode to their end. A JPEG is decoded small, which is
    faster and reads all of its data as well."""
    with _decoding(Path(path), content):
        pass


def open_upright(path: str | Path) -> Image.Image:
    """Decode `path` completely and turn it upright, in the mode it has: for masks, whose pixels are numbers.

    Raises ConesError naming the file if it is missing, empty or cannot be decoded.
    """
    with _decoding(Path(path)) as picture:
        return ImageOps.exif_transpose(picture)


@contextmanager
def _decoding(path: Path, content: bytes | None = None) -> Iterator[Image.Image]:
    """The decoded picture as it is stored, or small where its `content` is given; any decoding fault becomes a
    ConesError that names the file."""
    try:
        if (path.stat().st_size if content is None else len(content)) == 0:
            raise ConesError("the picture is empty (0 bytes)", where=path, next_step=AGAIN)
        file = path if content is None else io.BytesIO(content)
        with warnings.catch_warnings(), Image.open(file) as picture:
            warnings.simplefilter("ignore")  # odd EXIF or ICC blocks; pixels that cannot be decoded still raise
            if content is not None:
                picture.draft("RGB", SMALL)
            picture.load()
            yield picture
    except FileNotFoundError:
        raise ConesError("the picture is missing", where=path, next_step=AGAIN) from None
    except ConesError:
        raise
    except Exception as error:  # Pillow raises OSError, SyntaxError, ValueError, struct.error … on damaged files
        found = "a Git LFS pointer in its place (git lfs pull)" if is_lfs_pointer(path) else error
        raise ConesError("the picture cannot be decoded", where=path, found=found, next_step=AGAIN) from None


def as_rgb(picture: Image.Image, path: Path) -> Image.Image:
    if picture.mode in DEEP_GREY:
        grey = np.asarray(picture, dtype=np.int64)
        if grey.min() < 0 or grey.max() > 65535:
            raise ConesError(
                "grey values beyond 16 bits", where=path, found=f"{grey.min()} to {grey.max()}", next_step=AGAIN
            )
        if grey.max() > 255:
            grey = grey // 256
        return Image.fromarray(grey.astype(np.uint8)).convert("RGB")
    if picture.mode == "F":
        raise ConesError("a float-valued picture has no defined brightness", where=path, next_step="save it as 8-bit")
    if picture.mode in ("RGBA", "LA", "PA", "La", "RGBa") or "transparency" in picture.info:
        picture = picture.convert("RGBA")
        return Image.alpha_composite(Image.new("RGBA", picture.size, "white"), picture).convert("RGB")
    return picture.convert("RGB")


def upright_size(path: str | Path) -> tuple[int, int]:
    """(width, height) of the upright picture from its header alone; its pixels may still turn out to be damaged.

    Raises ConesError naming the file if it is missing or not a picture.
    """
    stored, orientation = stored_size(path)
    return stored[::-1] if orientation in QUARTER_TURNS else stored


def stored_size(path: str | Path) -> tuple[tuple[int, int], int]:
    """((width, height) as stored, EXIF's orientation) of a picture, from its header alone; ConesError likewise."""
    try:
        with warnings.catch_warnings(), Image.open(path) as picture:
            warnings.simplefilter("ignore")
            return picture.size, picture.getexif().get(ORIENTATION, 1)
    except FileNotFoundError:
        raise ConesError("the picture is missing", where=path, next_step=AGAIN) from None
    except Exception as error:
        raise ConesError("the picture cannot be decoded", where=path, found=error, next_step=AGAIN) from None
