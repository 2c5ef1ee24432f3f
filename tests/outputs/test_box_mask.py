"""Tables 2 and 4: boxes and masks side by side, the losses that train, holes, and the paper's numbers beside ours."""

import pytest

from cones.outputs.cells import ExpectedCell, collect_cells
from cones.outputs.reference import paper
from cones.outputs.table2 import NOT_PUBLISHED
from cones.outputs.table2 import frame as table2
from cones.outputs.table4 import INFERRED
from cones.outputs.table4 import frame as table4
from tests.outputs.worlds import METHODS, collect, metrics_path, row_of, write_done, write_world

DATASETS = ("dfuc2022", "kvasir_seg", "cityscapes")
LOSSES = {
    "cones-cls": ("classification",),
    "cones-box": ("box",),
    "cones-mask": ("mask",),
    "cones-cls+box": ("classification", "box"),
    "cones-cls+mask": ("classification", "mask"),
    "cones-box+mask": ("box", "mask"),
    "cones": None,
}


def segmentation(model="uninext_r50", methods=METHODS, datasets=DATASETS, seeds=(0,)):
    return [
        ExpectedCell(model, dataset, "segmentation", method, method, seed)
        for dataset in datasets
        for method in methods
        for seed in seeds
    ]


def ablation(model="uninext_r50", seeds=(0,)):
    return [
        ExpectedCell(model, "kvasir_seg", "segmentation", arm, "cones", seed, losses=losses)
        for arm, losses in LOSSES.items()
        for seed in seeds
    ]


def cells_of(folder, cells, ap_of, suite):
    return collect_cells(cells, write_world(folder, suite, cells, ap_of), suite=suite)


def published(cell):
    """Both APs as the paper has them; of linear probing, which it does not have, numbers of ours."""
    found = [paper().value("table2", cell.model, cell.method, f"{cell.dataset}_{kind}") for kind in ("box", "mask")]
    return (10.0, 9.0) if None in found else tuple(found)


def test_the_papers_own_numbers_give_the_papers_table_2(tmp_path):
    table = table2(cells_of(tmp_path, segmentation(), published, "paper"), suite="paper")
    assert [column for column in table.columns if column.endswith("_ap")] == [
        f"{dataset}_{kind}_ap" for dataset in ("cityscapes", "dfuc2022", "kvasir_seg") for kind in ("box", "mask")
    ]
    assert len(table) == 7 and list(table["block"]) == ["zero_shot", *["peft"] * 4, *["fine_tuning"] * 2]
    differences = table[[column for column in table.columns if column.endswith("_difference")]]
    assert differences.stack().abs().max() == 0
    row = row_of(table, "uninext_r50", "cones")
    assert (row["kvasir_seg_box_ap"], row["kvasir_seg_mask_ap"], row["paper_all_M"]) == (64.3, 63.2, 57.67)
    ours = row_of(table, "uninext_r50", "linear_probing")
    assert NOT_PUBLISHED in ours["notes"] and ours["kvasir_seg_box_paper"] != ours["kvasir_seg_box_paper"]


def test_no_published_row_of_table_2_stays_unmatched(tmp_path):
    table = table2(cells_of(tmp_path, segmentation(), published, "paper"), suite="paper")
    rows = {(row["model"], row["method"]) for row in paper().rows("table2")}
    assert rows <= set(zip(table["model"], table["method"]))


def test_holes_and_boxes_without_masks_say_why(tmp_path):
    def ap_of(cell):
        if cell.dataset == "cityscapes":
            return "needs a login"
        return 30.0 if cell.method == "zero_shot" else None if cell.method == "cones" else (30.0, 20.0)

    table = table2(cells_of(tmp_path, segmentation("uninext_nano"), ap_of, "mini"), suite="mini")
    assert "cityscapes: skipped (needs a login)" in row_of(table, "uninext_nano", "cones")["notes"]
    assert "dfuc2022, kvasir_seg: not run" in row_of(table, "uninext_nano", "cones")["notes"]
    assert "dfuc2022, kvasir_seg: boxes only" in row_of(table, "uninext_nano", "zero_shot")["notes"]
    assert "kvasir_seg_box_paper" not in table.columns


def test_a_dataset_whose_last_epoch_counts_is_named(tmp_path):
    (cell,) = segmentation("uninext_nano", methods=("cones",), datasets=("cityscapes",))
    path = metrics_path(tmp_path, "mini", cell)
    write_done(path, "mini", cell, 30.0, 20.0, by="last")
    (note,) = table2(collect_cells([cell], {cell: path}, suite="mini"), suite="mini")["notes"]
    assert note == "cityscapes: the last epoch, whatever validation says"


def test_seeds_are_averaged_for_boxes_and_masks_alike(tmp_path):
    cells = segmentation("uninext_nano", methods=("cones",), datasets=("kvasir_seg",), seeds=(0, 1))
    table = table2(
        cells_of(tmp_path, cells, lambda cell: (20.0 + 2 * cell.seed, 10.0 + cell.seed), "mini"), suite="mini"
    )
    row = row_of(table, "uninext_nano", "cones")
    assert (row["kvasir_seg_box_ap"], row["kvasir_seg_mask_ap"], row["seeds"]) == (21.0, 10.5, "2")
    assert row["kvasir_seg_box_spread"] == pytest.approx(2 * row["kvasir_seg_mask_spread"])


def test_table_4_finds_the_published_row_by_its_losses(tmp_path):
    def ap_of(cell):
        groups = cell.losses or ("classification", "box", "mask")
        marks = {f"L_{short}": int(name in groups) for short, name in zip(("cls", "box", "mask"), LOSS_NAMES)}
        (row,) = paper().rows("table4", **marks)
        return row["AP_box"], row["AP_mask"]

    cells = ablation()[::-1]
    table = table4(cells_of(tmp_path, cells, ap_of, "paper"), suite="paper")
    assert list(table["arm"]) == [cell.arm for cell in cells]  # as the grid has them
    assert table[["box_difference", "mask_difference"]].abs().to_numpy().max() == 0
    full = table[table["arm"] == "cones"].iloc[0]
    assert list(full[list(LOSS_NAMES)]) == ["yes"] * 3 and not isinstance(full["notes"], str)
    rest = table[table["arm"] != "cones"]
    assert rest["notes"].str.contains(INFERRED, regex=False).all() and len(rest) == 6


LOSS_NAMES = ("classification", "box", "mask")


@pytest.mark.parametrize(
    ("name", "cells", "said"),
    [
        ("table2", segmentation("uninext_nano"), "| Cityscapes box | Cityscapes mask |"),
        ("table4", ablation("uninext_nano"), "| L_cls | L_box | L_mask | box | mask |"),
    ],
)
def test_the_pages_for_people(tmp_path, name, cells, said):
    metrics = write_world(tmp_path, "mini", cells, lambda cell: (30.0, 20.0))
    paths = collect(suite="mini", grid=name, expected=cells, metrics=metrics, out_dir=tmp_path, title="toy")
    assert [path.name for path in paths] == [f"{name}_cells.csv", f"{name}.csv", f"{name}.md", f"{name}.data.json"]
    text = paths[2].read_text()
    assert text.startswith(f"# Table {name[-1]} · suite: mini — toy, not comparable with the paper\n") and said in text
    assert "COCO AP" in text and "difference" not in text
    empty = collect(suite="mini", grid=name, expected=[], metrics={}, out_dir=tmp_path / "empty")[2]
    assert "No cell of this suite belongs into this table." in empty.read_text()
