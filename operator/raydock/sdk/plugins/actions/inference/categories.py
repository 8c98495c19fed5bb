"""Names that actions report their progress under."""

from typing import Final


class InferenceProgressCategories:
    """The parts of an inference."""

    MODEL_LOAD: Final = "model_load"
    INFERENCE: Final = "inference"
    POSTPROCESS: Final = "postprocess"
