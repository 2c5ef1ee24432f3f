"""Two processes on one cell: gradients, losses and the tuned state are those of one process on the whole batch."""

import os
import sys
from pathlib import Path

import pytest
import torch
from torch import distributed, multiprocessing
from toy import paint_split

from cones.data.batches import View
from cones.runtime.processes import Processes
from tests.training.test_tuning import make_tuner

SIZE = 2


def gradient_and_run(data: Path, folder: Path, ranks: Processes) -> dict:
    """Gradients of one batch of five images, of unequal sizes, and a run of two epochs."""
    tuner = make_tuner(data, folder, "cones_finetuned", max_epochs=2, ranks=ranks, batch_size=5)
    tuner.model.dropout.p = 0.0  # drawn per process: nothing to compare
    views = [View(index, 64) for index in range(5)]
    tuner.accumulate([tuner.train_split.sample(view) for view in ranks.share(views)])
    ranks.sum_gradients(tuner.trained.values())
    gradients = {name: parameter.grad.clone() for name, parameter in tuner.trained.items()}
    separate = gradients_of_one_term(tuner, [tuner.train_split.sample(view) for view in ranks.share(views)])
    short_of_memory(tuner, ranks)
    progress = tuner.run()
    shared = ranks.of_first(lambda: [{"rank": ranks.rank}])
    found = {"gradients": gradients, "separate": separate, "trained": tuner._snapshot(), "progress": vars(progress)}
    return {**found, "shared": shared}


def gradients_of_one_term(tuner, samples) -> dict:
    """Of the toy detector's only term, kept apart as a rule on gradients may ask."""
    tuner.separate_terms = ("classification",)
    tuner._try_to_accumulate(samples)
    tuner._sum_gradients()
    tuner.separate_terms = ()
    return tuner.separate_gradients["classification"]


def short_of_memory(tuner, ranks: Processes) -> None:
    """The last process has room for two images at a time: all of them have to follow."""
    accumulate = tuner.accumulate

    def with_little_memory(samples):
        losses = accumulate(samples)
        if ranks.rank == ranks.size - 1 and tuner.progress.micro_batch > 2:
            raise torch.OutOfMemoryError
        return losses

    tuner.accumulate = with_little_memory


def process(rank: int, data: Path, folder: Path) -> None:
    """What `torchrun` would set, and one of its processes."""
    os.environ |= {"RANK": str(rank), "WORLD_SIZE": str(SIZE), "MASTER_ADDR": "127.0.0.1"}
    os.environ["MASTER_PORT"] = (folder / "port").read_text()
    torch.set_num_threads(1)
    ranks = Processes.from_environment(torch.device("cpu"))
    torch.save(gradient_and_run(data, folder, ranks), folder / f"rank{rank}.pt")
    distributed.destroy_process_group()


def test_two_processes_are_one_run(tmp_path, monkeypatch):
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(filter(None, sys.path)))
    paint_split(tmp_path, "train", images=11, seed=0)  # batches of 5, 5 and 1: the last leaves a process without images
    paint_split(tmp_path, "val", images=4, seed=1)
    (tmp_path / "port").write_text(str(free_port()))
    alone = gradient_and_run(tmp_path, tmp_path / "alone", Processes())
    (tmp_path / "alone" / "resume.pt").unlink()
    multiprocessing.spawn(process, args=(tmp_path, tmp_path), nprocs=SIZE)
    first, second = (torch.load(tmp_path / f"rank{rank}.pt", weights_only=True) for rank in range(SIZE))
    for name, gradient in alone["gradients"].items():
        torch.testing.assert_close(first["gradients"][name], gradient, rtol=1e-4, atol=1e-6)
        torch.testing.assert_close(first["separate"][name], gradient, rtol=1e-4, atol=1e-6)
        torch.testing.assert_close(first["trained"][name], alone["trained"][name], rtol=1e-3, atol=1e-4)
        assert torch.equal(first["trained"][name], second["trained"][name]), "the processes drifted apart"
    assert [p["progress"]["micro_batch"] for p in (alone, first, second)] == [2, 2, 2]
    assert first["progress"]["history"] == second["progress"]["history"]
    assert alone["shared"] == first["shared"] == second["shared"] == [{"rank": 0}]
    for mine, theirs in zip(alone["progress"]["history"], first["progress"]["history"]):
        assert mine["losses"] == pytest.approx(theirs["losses"], rel=1e-3)
        assert mine["val_ap"] == pytest.approx(theirs["val_ap"], abs=5)


def free_port() -> int:
    import socket

    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        return server.getsockname()[1]


def test_a_process_alone_is_the_whole():
    alone = Processes.from_environment(torch.device("cpu"))
    assert (alone.rank, alone.size, alone.share([1, 2, 3])) == (0, 1, [1, 2, 3])
    assert alone.any(True) and not alone.any(False) and alone.first(lambda: 7.5) == 7.5
    assert Processes(1, 2).share([1, 2, 3]) == [2] and Processes(1, 2).share([1]) == []
