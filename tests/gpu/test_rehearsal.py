"""The real code on a GPU: the machine's, or a pretended one. Each part runs in a process of its own.

What the steps of training waited for is printed: `make test-gpu` shows it.
"""

import pytest

from tests.gpu.device import FOLDER, run_on_device

PARTS = [
    "glip_nano-",
    "glip_nano_a-",
    "uninext_nano-",
    "grounding_dino_nano-",
    "full_size",
    "test_classification",
    "not test_a_cell and not full_size and not test_classification",
]


def run(*arguments: str) -> None:
    done = run_on_device(*arguments, str(FOLDER))
    print(done.stdout)
    assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-2000:]


def test_every_family():
    run("-m", "not slow")


@pytest.mark.slow
@pytest.mark.parametrize("part", PARTS)
def test_every_family_with_every_method(part):
    run("-k", part)
