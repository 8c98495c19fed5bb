"""Names that actions report their progress under."""

from typing import Final


class InferenceProgressCategories:
    """The parts of an inference."""

    MODEL_LOAD: Final = "model_load"
    INFERENCE: Final = "inference"
    POSTPROCESS: Final = "postprocess"


class DeploymentProgressCategories:
    """The parts of a deployment."""

    INITIALIZE: Final = "initialize"
    DEPLOY: Final = "deploy"
    REGISTER: Final = "register"
