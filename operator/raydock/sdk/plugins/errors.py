"""Errors of plugins.

PluginError
├── ValidationError       the plugin's files are not as they must be
├── ActionNotFoundError   the plugin has no such action
├── ExecutionError        an action failed
├── ModelLoadError        a model could not be loaded
└── PluginRunError        the backend did not run a plugin
"""

from typing import Any


class PluginError(Exception):
    """Something is wrong with a plugin. `details`: what a caller may look at."""

    def __init__(self, message: str, details: Any = None) -> None:
        super().__init__(message)
        self.message = message
        self.details = details


class ValidationError(PluginError):
    """The plugin's files are not as they must be."""


class ActionNotFoundError(PluginError):
    """The plugin has no such action."""


class ExecutionError(PluginError):
    """An action failed; `__cause__` is why."""


class ModelLoadError(PluginError):
    """A model could not be loaded. `status_code` and `code` are what a caller over HTTP is answered."""

    def __init__(
        self,
        message: str,
        details: Any = None,
        *,
        status_code: int = 500,
        code: str = "ModelLoadFailed",
    ) -> None:
        super().__init__(message, details)
        self.status_code = status_code
        self.code = code


class PluginRunError(PluginError):
    """The backend did not run a plugin."""
