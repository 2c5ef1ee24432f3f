"""Loading ahead: the same batches in the same order, errors where they belong, never further ahead than it may."""

import threading

import pytest

from cones.data.ahead import DEPTH, ahead


@pytest.mark.parametrize("device_type", ["cpu", "cuda"])
def test_batches_come_in_order_and_an_error_in_its_place(device_type):
    def load(number):
        if number == 5:
            raise ValueError("picture 5 is damaged")
        return number**2

    assert list(ahead(load, range(5), device_type=device_type)) == [0, 1, 4, 9, 16]
    assert list(ahead(load, [], device_type=device_type)) == []
    seen = []
    with pytest.raises(ValueError, match="picture 5"):
        for value in ahead(load, range(9), device_type=device_type):
            seen.append(value)
    assert seen == [0, 1, 4, 9, 16]


def test_beside_a_gpu_a_thread_loads_a_few_batches_and_beside_a_cpu_nobody_does():
    loaded = []

    def load(number):
        loaded.append((number, threading.current_thread() is threading.main_thread()))
        return number

    batches = ahead(load, range(20), device_type="cuda")
    assert next(batches) == 0
    batches.close()  # training stopped: what waits is not loaded any more
    assert 1 <= len(loaded) <= DEPTH + 1 and not any(in_main for _, in_main in loaded)
    loaded.clear()
    plain = ahead(load, range(20), device_type="cpu")
    assert next(plain) == 0 and loaded == [(0, True)]
