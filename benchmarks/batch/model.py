"""The model over tables, as each way of the comparison calls it; loaded once by each worker."""

import os
import resource
from pathlib import Path

import numpy as np
import pandas as pd
from sklearn.linear_model import LogisticRegression
from typing_extensions import override

COLUMNS = ["sepal_length", "sepal_width", "petal_length", "petal_width"]


class Iris:
    """scikit-learn's over four columns: predict(DataFrame) -> DataFrame, as a user writes it."""

    def __init__(self) -> None:
        chance = np.random.default_rng(7)
        rows = pd.DataFrame(chance.normal(size=(300, 4)), columns=COLUMNS)
        self._model = LogisticRegression().fit(rows, np.arange(300) % 3)

    def predict(self, batch: pd.DataFrame) -> pd.DataFrame:
        """The class of each row."""
        return pd.DataFrame({"id": batch["id"], "label": self._model.predict(batch[COLUMNS])})

    def __call__(self, batch: pd.DataFrame) -> pd.DataFrame:
        """As Ray Data calls it."""
        return self.predict(batch)


WATCHED = "RAYDOCK_BENCH_WATCHED"
"""Environment variable: a folder that each worker leaves its peak in."""


class Watched(Iris):
    """Iris, which notes the peak of its process's memory, in KiB, in a file of the process's number."""

    @override
    def predict(self, batch: pd.DataFrame) -> pd.DataFrame:
        """As Iris."""
        answer = super().predict(batch)
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        Path(os.environ[WATCHED], str(os.getpid())).write_text(str(peak))  # noqa: TID251 - of the benchmark
        return answer
