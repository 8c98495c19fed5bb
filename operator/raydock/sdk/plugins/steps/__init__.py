"""Actions in steps that can be taken back."""

from raydock.sdk.plugins.steps.base import BaseStep, BaseStepContext, StepResult
from raydock.sdk.plugins.steps.orchestrator import Orchestrator
from raydock.sdk.plugins.steps.registry import StepRegistry
from raydock.sdk.plugins.steps.wrappers import LoggingStep, TimingStep, ValidationStep

__all__ = [
    "BaseStep",
    "BaseStepContext",
    "LoggingStep",
    "Orchestrator",
    "StepRegistry",
    "StepResult",
    "TimingStep",
    "ValidationStep",
]
