"""Parts of a catalogue: read one ahead, whatever their number."""

from queue import Queue
from types import SimpleNamespace

import numpy as np
import pandas as pd

from exod.counterparts.partitions import read_ahead

PIXELS = [(1, number) for number in range(5)]


def test_one_part_is_read_while_another_is_looked_at():
    asked: Queue = Queue()

    def read(pixel):
        asked.put(pixel)
        return pd.DataFrame({"number": [pixel[1]]})

    ahead = read_ahead(
        SimpleNamespace(read=read), ((pixel, np.array([pixel[1]])) for pixel in PIXELS)
    )
    for number, (pixel, near, rows) in enumerate(ahead):
        # Before the first is looked at, two are asked for; then always the next.
        new = PIXELS[:2] if number == 0 else PIXELS[number + 1 : number + 2]
        assert [asked.get(timeout=60) for _ in new] == new
        # No more than two are in memory.
        assert asked.empty()
        assert pixel == PIXELS[number]
        assert near == rows["number"].item() == number
