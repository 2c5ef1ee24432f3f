"""Prefetching: the next batches are loaded in a thread while the device computes."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

Item, Loaded = TypeVar("Item"), TypeVar("Loaded")
DEPTH = 2  # batches that wait at most


def ahead(load: Callable[[Item], Loaded], items: Iterable[Item], *, device_type: str) -> Iterator[Loaded]:
    """`load(item)` of each item, in order; an error of `load` is raised in its place.

    With a GPU one thread loads (decoding releases the GIL); on a CPU, whose cores compute, items are loaded in place.
    """
    if device_type == "cpu":
        yield from map(load, items)
        return
    with ThreadPoolExecutor(1, thread_name_prefix="ahead") as loader:
        waiting: deque = deque()
        try:
            for item in items:
                waiting.append(loader.submit(load, item))
                if len(waiting) > DEPTH:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            for future in waiting:
                future.cancel()
