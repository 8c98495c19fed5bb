"""Runs an action in an actor of a Ray cluster, by Ray's client."""

from collections.abc import Mapping
from typing import Any

from raydock.sdk.plugins.errors import ExecutionError


def run_task(
    entrypoint: str,
    params: Mapping[str, Any],
    *,
    address: str,
    runtime_env: Mapping[str, Any],
    variables: Mapping[str, str],
    language: str | None = None,
    num_cpus: float | None = None,
    num_gpus: float | None = None,
) -> Any:
    """The result of the action at `entrypoint`, as JSON has it. `address`: `ray://HOST:10001`.

    `variables` travel as an argument, and stand in no record. Raises ImportError without Ray, ConnectionError
    where nothing answers, ExecutionError when the action fails.
    """
    try:
        import ray  # noqa: PLC0415 - local actions need no Ray
    except ImportError as error:
        raise ImportError("Ray is required for mode task: pip install 'raydock[runtime]'") from error
    asked = {"num_cpus": num_cpus, "num_gpus": num_gpus}
    options = {name: value for name, value in asked.items() if value is not None}
    connected: Any = ray.init(address, runtime_env=dict(runtime_env), log_to_driver=False)
    with connected:
        actor: Any = ray.remote(_runner())
        runner = actor.options(**options).remote() if options else actor.remote()
        said = ray.get(runner.run.remote(entrypoint, dict(params), dict(variables), language))
    if "error" in said:
        raise ExecutionError(said["error"], {"traceback": said["traceback"]})
    return said["result"]


def _runner() -> type:
    """The actor's class. A local one travels whole: the cluster's raydock need not have this module."""

    class Runner:
        def run(
            self, entrypoint: str, params: dict[str, Any], variables: dict[str, str], language: str | None
        ) -> dict[str, Any]:
            import os  # noqa: PLC0415 - in the cluster
            import sys  # noqa: PLC0415 - likewise
            import traceback  # noqa: PLC0415 - likewise

            from raydock.sdk.plugins.discovery import load_action  # noqa: PLC0415 - likewise
            from raydock.sdk.plugins.executors.local import LocalExecutor  # noqa: PLC0415 - likewise
            from raydock.sdk.plugins.results import result_record  # noqa: PLC0415 - likewise

            sys.path.insert(0, os.getcwd())  # noqa: PTH109 - as Ray set it
            executor = LocalExecutor(env=variables, language=language)
            try:
                return {"result": result_record(executor.execute(load_action(entrypoint), params))}
            except Exception as error:  # noqa: BLE001 - its class may be the plugin's, which the caller lacks
                return {"error": str(error), "traceback": traceback.format_exc()}

    return Runner
