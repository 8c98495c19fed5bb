"""The model over images, as each way of the comparison calls it; its workers import no scikit-learn."""

from typing import Any

import numpy as np


class Brightness:
    """The mean of an uncompressed image's bytes: what is measured is how images come to a model."""

    def predict(self, batch: list[dict[str, Any]]) -> list[dict[str, Any]]:
        """A mean for each row; the column of bytes is `image`."""
        return [{"mean": float(np.frombuffer(row["image"], np.uint8).mean())} for row in batch]

    def __call__(self, batch: dict[str, Any]) -> dict[str, Any]:
        """As Ray Data calls it, with the columns `path` and `bytes`."""
        means = [float(np.frombuffer(content, np.uint8).mean()) for content in batch["bytes"]]
        return {"mean": np.array(means)}
