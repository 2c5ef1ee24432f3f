"""Figure 4 as a file: panels, sizes, the suite's name, and the same bytes for the same vectors."""

import numpy as np

from cones.outputs.analysis.maps import pca_map, principal_components, umap_map
from cones.outputs.figure4_maps import main_figure
from tests.outputs.analysis.test_blending import a_set, random_vectors

ROW = {"model": "glip_nano", "vectors": "cones", "mixing_5": "1.02", "probe": "0.47"}


def test_a_panel_per_method_says_sizes_and_numbers():
    sets = [a_set(random_vectors(n), name) for n, name in enumerate(("zero_shot", "cones"))]
    figure = main_figure(sets, [ROW, {**ROW, "vectors": "cones_step0"}], "Figure 4 · suite: ci")
    assert [axes.get_title(loc="left") for axes in figure.axes] == ["(a) Zero-shot", "(c) ConES (stage 1)"]
    assert figure.axes[1].get_xlabel() == "50 natural + 11 medical classes\nmixing 1.02, probe 0.47"
    said = " ".join(text.get_text() for text in figure.texts)
    assert "suite: ci" in said and "before any training" in said
    assert sum(len(each.get_offsets()) for each in figure.axes[0].collections) == 61


def test_a_map_is_the_same_every_time_and_few_points_have_one_too():
    vectors = random_vectors().vectors
    first = umap_map(vectors, 0)
    assert first.shape == (61, 2) and np.array_equal(first, umap_map(vectors, 0))
    for count in (1, 3):
        assert umap_map(vectors[:count], 0).shape == pca_map(vectors[:count]).shape == (count, 2)


def test_principal_components_keep_distances():
    vectors = random_vectors().vectors
    found = principal_components(vectors, 60)
    distances = [np.linalg.norm(each[:, None] - each, axis=2) for each in (vectors, found)]
    np.testing.assert_allclose(*distances, atol=1e-9)
    assert found[:, 0].std() >= found[:, 1].std()
