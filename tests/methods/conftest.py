"""A painted training split that the tests of a module share."""

import pytest
from toy import paint_split


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """The folder with three pictures of one size."""
    folder = tmp_path_factory.mktemp("toy")
    paint_split(folder, "train", images=3, seed=0, sizes=((96, 96),))
    return folder
