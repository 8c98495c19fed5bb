"""Actions that infer."""

from raydock.sdk.plugins.actions.inference.action import BaseInferenceAction
from raydock.sdk.plugins.actions.inference.categories import InferenceProgressCategories
from raydock.sdk.plugins.actions.inference.context import InferenceContext

__all__ = [
    "BaseInferenceAction",
    "InferenceContext",
    "InferenceProgressCategories",
]
