"""Plugins: actions, what they are given, and how they are run."""

from typing import TYPE_CHECKING, Any

from raydock.sdk.plugins.action import BaseAction, NoResult, validate_result
from raydock.sdk.plugins.actions.inference import (
    BaseDeploymentAction,
    BaseInferenceAction,
    BaseServeDeployment,
    DeploymentContext,
    DeploymentProgressCategories,
    InferenceContext,
    InferenceProgressCategories,
    create_serve_multiplexed_model_id,
)
from raydock.sdk.plugins.actions.out_of_scope import NAMES, out_of_scope
from raydock.sdk.plugins.config import ActionConfig, PluginConfig
from raydock.sdk.plugins.context import RuntimeContext
from raydock.sdk.plugins.decorators import action
from raydock.sdk.plugins.enums import PluginCategory
from raydock.sdk.plugins.errors import ActionNotFoundError, ExecutionError, PluginError, ValidationError
from raydock.sdk.plugins.runner import run_plugin
from raydock.sdk.plugins.schemas import InferenceResult
from raydock.sdk.plugins.steps import (
    BaseStep,
    BaseStepContext,
    LoggingStep,
    Orchestrator,
    StepRegistry,
    StepResult,
    TimingStep,
    ValidationStep,
)

__all__ = [
    "ActionConfig",
    "ActionNotFoundError",
    "BaseAction",
    "BaseDeploymentAction",
    "BaseInferenceAction",
    "BaseServeDeployment",
    "BaseStep",
    "BaseStepContext",
    "DeploymentContext",
    "DeploymentProgressCategories",
    "ExecutionError",
    "InferenceContext",
    "InferenceProgressCategories",
    "InferenceResult",
    "LoggingStep",
    "NoResult",
    "Orchestrator",
    "PluginCategory",
    "PluginConfig",
    "PluginError",
    "RuntimeContext",
    "StepRegistry",
    "StepResult",
    "TimingStep",
    "ValidationError",
    "ValidationStep",
    "action",
    "create_serve_multiplexed_model_id",
    "run_plugin",
    "validate_result",
]


if not TYPE_CHECKING:  # a checker would take every name for one that is here

    def __getattr__(name: str) -> Any:
        """Tells of the package's actions that are not here."""
        if name in NAMES:
            raise out_of_scope(f"{__name__}.{name}")
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
