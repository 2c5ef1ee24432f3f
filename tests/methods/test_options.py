"""Options of methods: unknown ones and values of another kind are refused before anything is made of them."""

import pytest

from cones.methods.settings import check_options
from cones.runtime.errors import ConesError

DEFAULTS = {"alpha": 0.5, "width": 256, "pooled": False, "position": "end", "depth": None}


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"alfa": 1}, 'no option "alfa"; next: did you mean "alpha"'),
        ({"alpha": "x"}, 'option "alpha" is of another kind; expected a number; found x; next: .*default is 0.5'),
        ({"alpha": True}, "expected a number"),
        ({"alpha": None}, "expected a number"),
        ({"width": "64"}, "expected a whole number"),
        ({"width": 2.5}, "expected a whole number; found 2.5"),
        ({"width": True}, "expected a whole number"),
        ({"pooled": 1}, "expected true or false"),
    ],
)
def test_what_no_method_could_read_is_refused(given, said):
    with pytest.raises(ConesError, match=f"mine: .*{said}"):
        check_options(given, DEFAULTS, where="mine")


def test_numbers_and_choices_are_left_to_the_method():
    check_options({"alpha": 1, "width": 8, "pooled": True, "position": 3, "depth": 2}, DEFAULTS, where="mine")
