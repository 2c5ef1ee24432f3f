"""Image features kept on disk: they come back as they were, and are left alone where they are not this process's."""

import pytest
import torch
from toy import ToyDetector, paint_split

from cones.data.batches import Split, View
from cones.data.pyramid_file import PyramidFile, name_of, tensors_file, write_pyramids
from cones.data.pyramids import FrozenPyramids, LivePyramids, SharedPyramids, concat, split_batch
from cones.models.detector import FeaturePyramid
from cones.runtime.errors import ConesError

CPU = torch.device("cpu")


def pyramid(seed: int, dtype=torch.float32) -> FeaturePyramid:
    noise = torch.Generator().manual_seed(seed)
    maps = [torch.randn(1, 3, side, 2 * side, generator=noise).to(dtype) for side in (4, 2, 1)]
    return FeaturePyramid(maps, [(30, 50 + seed)], torch.rand(1, 32, 64, generator=noise) > 0.5)


def equal(one: FeaturePyramid, other: FeaturePyramid) -> bool:
    pairs = [*zip(one.maps, other.maps, strict=True), (one.padding, other.padding)]
    return one.sizes == other.sizes and all(a.dtype == b.dtype and torch.equal(a, b) for a, b in pairs)


def test_what_is_written_comes_back_in_its_own_precision(tmp_path):
    index = tmp_path / "features.json"
    given = {"full": pyramid(0), "half": pyramid(1, torch.bfloat16)}
    assert write_pyramids(index, given.items(), budget=10**6) == 2
    file = PyramidFile(index)
    assert all(equal(file.get(name), each) for name, each in given.items()) and file.get("another") is None


def test_parts_joined_are_the_batch():
    one, two = pyramid(0), pyramid(1)
    batch = concat([one, two], CPU)
    assert batch.maps[0].shape == (2, 3, 4, 8) and batch.sizes == [(30, 50), (30, 51)]
    assert all(map(equal, split_batch(batch), (one, two)))


@pytest.mark.parametrize("order", [1, -1])
def test_kept_and_just_computed_features_are_joined_on_the_device_of_the_model(order):
    """The "meta" device stands for a GPU: it refuses, as CUDA does, to concatenate with what is on the CPU."""
    device = torch.device("meta")
    just = pyramid(1)
    computed = FeaturePyramid([level.to(device) for level in just.maps], just.sizes, just.padding.to(device))
    batch = concat([pyramid(0), computed][::order], device)
    assert {each.device.type for each in (*batch.maps, batch.padding)} == {"meta"}
    assert batch.maps[0].shape == (2, 3, 4, 8) and batch.padding.shape == (2, 32, 64)
    assert batch.sizes == [(30, 50), (30, 51)][::order]


def test_the_budget_is_kept(tmp_path):
    index = tmp_path / "features.json"
    write_pyramids(index, [("one", pyramid(0))], budget=10**6)
    size = tensors_file(index).stat().st_size
    for budget, expected in ((2 * size, 2), (2 * size - 1, 1), (0, 0)):
        assert write_pyramids(index, ((str(i), pyramid(i)) for i in range(9)), budget=budget) == expected
        assert tensors_file(index).stat().st_size == expected * size <= budget
        assert set(PyramidFile(index).views) == {str(i) for i in range(expected)}


def test_a_file_cut_short_is_refused_and_one_that_is_gone_has_nothing(tmp_path):
    index = tmp_path / "features.json"
    write_pyramids(index, [("one", pyramid(0))], budget=10**6)
    tensors_file(index).write_bytes(tensors_file(index).read_bytes()[:-1])
    with pytest.raises(ConesError, match=r"features\.bin.*delete"):
        PyramidFile(index)
    tensors_file(index).unlink()
    assert PyramidFile(index).get("one") is None


@pytest.mark.parametrize("same_weights", [True, False])
def test_features_of_other_weights_are_noticed_and_left_alone(tmp_path, caplog, same_weights):
    caplog.set_level("INFO", "cones")
    paint_split(tmp_path, "val", images=6, seed=0, sizes=((64, 64),))
    model, index = ToyDetector().eval().requires_grad_(False), tmp_path / "features.json"
    split = Split(tmp_path, "val", preprocessing=model.preprocessing, inclusive=False)
    samples = [split.sample(View(i, 64)) for i in range(6)]
    live, calls, encode = LivePyramids(model, CPU), [], model.encode_image
    kinds = {
        2: lambda shared: LivePyramids(model, CPU, shared),
        1: lambda shared: FrozenPyramids(model, CPU, 0, shared),
    }
    for together, kind_of in kinds.items():  # images in a pass: the bits depend on it
        parts = [samples[at : at + together] for at in range(0, 6, together)]
        stored = ((name_of(split, s.view), p) for part in parts for s, p in zip(part, split_batch(live(part))))
        write_pyramids(index, stored, budget=10**6)
        kind = kind_of(SharedPyramids(PyramidFile(index), split))
        if not same_weights:
            model.body[1].bias += 1
        model.encode_image = lambda images: calls.append(len(images.sizes)) or encode(images)
        for batch in (samples[:2], samples[2:4], samples[4:]):
            torch.testing.assert_close(kind(batch).maps, live(batch).maps)
            calls.pop()  # that of `live`
        assert sum(calls) == (together if same_weights else 6)
        model.encode_image = encode
        calls.clear()
    assert ("not those of this process" in caplog.text) == (not same_weights)
