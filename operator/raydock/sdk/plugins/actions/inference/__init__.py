"""Actions that infer, and that deploy what infers."""

from raydock.sdk.plugins.actions.inference.action import BaseInferenceAction
from raydock.sdk.plugins.actions.inference.categories import (
    DeploymentProgressCategories,
    InferenceProgressCategories,
)
from raydock.sdk.plugins.actions.inference.context import DeploymentContext, InferenceContext
from raydock.sdk.plugins.actions.inference.deployment import BaseDeploymentAction

__all__ = [
    "BaseDeploymentAction",
    "BaseInferenceAction",
    "DeploymentContext",
    "DeploymentProgressCategories",
    "InferenceContext",
    "InferenceProgressCategories",
]
