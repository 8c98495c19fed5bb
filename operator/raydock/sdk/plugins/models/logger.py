"""What loggers pass on."""

from raydock.sdk.loggers.entry import LogEntry, LogLevel, MessageLogData, ProgressData

__all__ = ["LogEntry", "LogLevel", "MessageLogData", "ProgressData"]
