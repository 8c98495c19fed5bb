"""Actions that infer, and that deploy what infers."""

from raydock.sdk.plugins.actions.inference.action import BaseInferenceAction
from raydock.sdk.plugins.actions.inference.categories import (
    DeploymentProgressCategories,
    InferenceProgressCategories,
)
from raydock.sdk.plugins.actions.inference.context import DeploymentContext, InferenceContext
from raydock.sdk.plugins.actions.inference.deployment import BaseDeploymentAction
from raydock.sdk.plugins.actions.inference.serve import BaseServeDeployment
from raydock.sdk.plugins.serving.model_token import create_serve_multiplexed_model_id

__all__ = [
    "BaseDeploymentAction",
    "BaseInferenceAction",
    "BaseServeDeployment",
    "DeploymentContext",
    "DeploymentProgressCategories",
    "InferenceContext",
    "InferenceProgressCategories",
    "create_serve_multiplexed_model_id",
]
