"""The model of the benchmark: scikit-learn's, over four columns, as each way of the comparison calls it."""

import numpy as np
import pandas as pd
from sklearn.linear_model import LogisticRegression

COLUMNS = ["sepal_length", "sepal_width", "petal_length", "petal_width"]


class Iris:
    """predict(DataFrame) -> DataFrame, as a user writes it."""

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
