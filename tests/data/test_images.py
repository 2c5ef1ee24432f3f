import numpy as np
import pytest
from PIL import Image

from cones.data.images import load_image
from cones.runtime.errors import ConesError
from tests.data.made_up import jpeg


def saved(tmp_path, picture, name, **options):
    path = tmp_path / name
    picture.save(path, **options)
    return path


def test_exif_orientation_is_applied(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6  # the camera was turned: stored 40 x 30, meant 30 x 40
    picture = load_image(saved(tmp_path, Image.new("RGB", (40, 30)), "a.jpg", exif=exif))
    assert picture.size == (30, 40) and picture.mode == "RGB"


def test_deep_grey_is_divided_by_256_and_never_stretched(tmp_path):
    deep = np.array([[0, 255, 256], [32768, 65535, 512]], np.uint16)
    picture = np.asarray(load_image(saved(tmp_path, Image.fromarray(deep), "deep.png")))
    assert picture[..., 0].tolist() == [[0, 0, 1], [128, 255, 2]]
    shallow = np.array([[0, 17, 255]], np.uint16)
    assert np.asarray(load_image(saved(tmp_path, Image.fromarray(shallow), "s.png")))[0, :, 1].tolist() == [0, 17, 255]


@pytest.mark.parametrize(
    "mode, name", [("L", "a.png"), ("1", "b.png"), ("P", "c.png"), ("CMYK", "d.jpg"), ("LA", "e.png")]
)
def test_any_mode_becomes_rgb(tmp_path, mode, name):
    picture = load_image(saved(tmp_path, Image.new(mode, (8, 6)), name))
    assert picture.mode == "RGB" and picture.size == (8, 6)


def test_cmyk_keeps_its_colour(tmp_path):
    path = saved(tmp_path, Image.new("RGB", (16, 16), (220, 40, 40)).convert("CMYK"), "a.jpg", quality=95)
    red, green, blue = np.asarray(load_image(path)).mean(axis=(0, 1))
    assert red > 200 and green < 70 and blue < 70


def test_what_is_transparent_is_white(tmp_path):
    path = saved(tmp_path, Image.new("RGBA", (4, 4), (0, 0, 0, 0)), "a.png")
    assert load_image(path).getpixel((0, 0)) == (255, 255, 255)


@pytest.mark.parametrize(
    "content, words", [(b"", "0 bytes"), (jpeg(400, 300)[:-500], "cannot be decoded"), (b"hello", "cannot be decoded")]
)
def test_a_damaged_picture_is_named(tmp_path, content, words):
    path = tmp_path / "broken.jpg"
    path.write_bytes(content)
    with pytest.raises(ConesError, match=words) as caught:
        load_image(path)
    assert "broken.jpg" in str(caught.value)


def test_a_missing_picture_is_named(tmp_path):
    with pytest.raises(ConesError, match=r"gone\.jpg: the picture is missing"):
        load_image(tmp_path / "gone.jpg")
