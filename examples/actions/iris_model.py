"""What the three actions share: the questions, and how a trained model answers them."""

from pathlib import Path
from typing import Any

import joblib
from pydantic import BaseModel

FEATURES = ("sepal_length", "sepal_width", "petal_length", "petal_width")


class Flower(BaseModel):
    """Lengths and widths in centimetres."""

    sepal_length: float
    sepal_width: float
    petal_length: float
    petal_width: float


class Questions(BaseModel):
    """Parameters of the inference actions."""

    model_id: int
    inputs: list[Flower]


def loaded(directory: Path) -> Any:
    """The classifier in the files of a model."""
    return joblib.load(directory / "model.joblib")  # pyright: ignore[reportUnknownMemberType] - no types


def species(model: Any, flowers: list[Flower]) -> list[dict[str, Any]]:
    """For each of `flowers` its species, and how sure the model is, from 0 to 1."""
    if not flowers:
        return []
    sure = model.predict_proba([[getattr(flower, name) for name in FEATURES] for flower in flowers])
    return [
        {"species": str(model.classes_[row.argmax()]), "probability": round(float(row.max()), 4)}
        for row in sure
    ]
