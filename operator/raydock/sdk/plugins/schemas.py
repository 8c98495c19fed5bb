"""Shapes of results."""

from typing import Any

from pydantic import BaseModel, Field


class InferenceResult(BaseModel):
    """What an inference came to."""

    predictions: list[dict[str, Any]] = Field(default_factory=list)
    processed_count: int = 0
    output_path: str | None = None
