"""Where progress, metrics and log entries of an action go."""

from raydock.sdk.loggers.backend import BackendLogger, LoggerBackend
from raydock.sdk.loggers.base import BaseLogger
from raydock.sdk.loggers.job import JobLogger
from raydock.sdk.loggers.local import ConsoleLogger, NoOpLogger, TqdmLogger

__all__ = [
    "BackendLogger",
    "BaseLogger",
    "ConsoleLogger",
    "JobLogger",
    "LoggerBackend",
    "NoOpLogger",
    "TqdmLogger",
]
