"""Runs an action in this process."""

from collections.abc import Mapping
from typing import Any

from raydock.sdk.loggers.base import BaseLogger
from raydock.sdk.loggers.local import ConsoleLogger
from raydock.sdk.plugins.action import BaseAction
from raydock.sdk.plugins.connections import PREFIXES, agent_client, backend_client
from raydock.sdk.plugins.context import RuntimeContext
from raydock.sdk.plugins.environment import PluginEnvironment
from raydock.sdk.plugins.errors import ExecutionError


class LocalExecutor:
    """Runs actions here; what they tell goes to the console."""

    def __init__(
        self,
        env: PluginEnvironment | Mapping[str, Any] | None = None,
        job_id: str | int | None = None,
        *,
        client: Any = None,
        agent: Any = None,
        language: str | None = None,
        logger: BaseLogger | None = None,
    ) -> None:
        """`env` comes over the process's own. Clients not given are those that the environment names."""
        self._env = PluginEnvironment.merge(PluginEnvironment.from_environ(prefixes=PREFIXES), env or {})
        self._job_id, self._language, self._logger = job_id, language, logger
        self._client, self._agent = client, agent

    def execute(self, action: type[BaseAction[Any]], params: Mapping[str, Any] | None = None) -> Any:
        """The action's result. Raises ExecutionError with the action's own error as its cause."""
        logger = self._logger or ConsoleLogger()
        try:
            result = action.dispatch(dict(params or {}), self._context(logger))
        except Exception as error:
            logger.finish()
            raise ExecutionError(f"Action execution failed: {error}") from error
        except BaseException:
            logger.finish()  # what was told before an interrupt is not lost
            raise
        logger.finish(success=True)
        return result

    def _context(self, logger: BaseLogger) -> RuntimeContext:
        return RuntimeContext(
            logger=logger,
            env=self._env,
            job_id=self._job_id,
            client=self._client or backend_client(self._env),
            agent_client=self._agent or agent_client(self._env),
            language=self._language,
        )
