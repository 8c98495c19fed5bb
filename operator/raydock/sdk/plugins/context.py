"""What an action is given: its logger, its settings, its clients."""

import warnings
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from raydock.sdk.loggers.base import BaseLogger
from raydock.sdk.loggers.entry import LogLevel, MessageLogData
from raydock.sdk.plugins.environment import PluginEnvironment
from raydock.sdk.plugins.log_messages import DEFAULT_LANGUAGE, LogMessageCode, resolve_log_message
from raydock.sdk.utils.data_uri import File

__all__ = ["PluginEnvironment", "RuntimeContext"]

LANGUAGE_ENV: Final = "SYNAPSE_LANGUAGE"


@dataclass
class RuntimeContext:
    """The surroundings of one run of an action."""

    logger: BaseLogger
    env: PluginEnvironment = field(default_factory=PluginEnvironment)
    job_id: str | int | None = None
    client: Any = None
    """The backend's client; None where there is no backend."""
    v2_client: Any = None
    agent_client: Any = None
    """The capacity agent's client; None where there is no agent."""
    checkpoint: Any = None
    language: str | None = None

    @property
    def client_v1(self) -> Any:
        """`client`."""
        return self.client

    @property
    def client_v2(self) -> Any:
        """`v2_client`."""
        return self.v2_client

    def log(
        self,
        event: str,
        data: Mapping[str, Any],
        file: File | None = None,
        *,
        level: LogLevel = LogLevel.INFO,
        step: str | None = None,
    ) -> None:
        """Log `event`; `file`: a path, bytes or a data URI. Raises TypeError where `data` is no mapping."""
        self.logger.log(level, event, data, file, step)

    def log_message(
        self,
        message: str | Mapping[str, str] | LogMessageCode,
        level: LogLevel | str = LogLevel.INFO,
        *,
        context: str | None = None,
        language: str | None = None,
        step: str | None = None,
        **kwargs: Any,
    ) -> None:
        """Log a text, one of several languages, or the text of a code, with `kwargs` in their places.

        `level`: where it is info, a code's own. `context`: the old name of `level`. Raises ValueError for an
        unknown level.
        """
        if context is not None:
            warnings.warn("context= of log_message is now level=", DeprecationWarning, stacklevel=2)
            level = context
        code = message if isinstance(message, LogMessageCode) else None
        known = LogLevel(level)
        if code is not None and known is LogLevel.INFO:
            known = code.level
        text = resolve_log_message(message, self._language(language), **kwargs)
        data = MessageLogData(text, None if code is None else str(code))
        self.logger.log(known, "message", data.to_dict(), step=step)

    def set_progress(
        self, current: float, total: float, step: str | None = None, *, category: str | None = None
    ) -> None:
        """Report that `current` of `total` is done; see BaseLogger.set_progress."""
        self.logger.set_progress(current, total, step, category=category)

    def set_metrics(self, value: Mapping[str, Any], step: str | None = None) -> None:
        """Merge `value` into the metrics of `step`; see BaseLogger.set_metrics."""
        self.logger.set_metrics(value, step)

    def log_metric(self, category: str, key: str, value: float, **metrics: Any) -> None:
        """Log one figure of a series."""
        self.logger.log_metric(category, key, value, **metrics)

    def log_visualization(self, category: str, group: str, index: int, image: File, **meta: Any) -> None:
        """Log a picture: a path, bytes or a data URI."""
        self.logger.log_visualization(category, group, index, image, **meta)

    def log_dev_event(self, message: str, data: Mapping[str, Any] | None = None) -> None:
        """Log something for developers."""
        told = {"content": message} if data is None else {"content": message, "data": dict(data)}
        self.logger.log(LogLevel.DEBUG, "dev_event", told)

    def end_log(self) -> None:
        """Tell that the run is over."""
        self.log_message("Plugin run is complete.")

    def _language(self, asked: str | None) -> str:
        """What the call says, else the context, else the environment, else English."""
        return asked or self.language or self.env.get_str(LANGUAGE_ENV) or DEFAULT_LANGUAGE
