"""The base of actions that deploy a Serve class (contracts/actions.md 7).

In driver mode the action runs in a process that Ray knows, and updates the Serve application by itself. In
managed mode (its context is a ManagedContext) the operator does, and has asked the capacity gate before.
"""

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar, Final

from pydantic import BaseModel
from typing_extensions import override

from raydock.sdk.gate import require_capacity
from raydock.sdk.plugins.action import BaseAction, P
from raydock.sdk.plugins.actions.inference import requirements, serve_class
from raydock.sdk.plugins.actions.inference.categories import DeploymentProgressCategories
from raydock.sdk.plugins.actions.inference.context import DeploymentContext
from raydock.sdk.plugins.actions.inference.managed import HandedOver, ManagedContext
from raydock.sdk.plugins.config import PluginConfig
from raydock.sdk.plugins.enums import PackageManager
from raydock.sdk.plugins.errors import ValidationError
from raydock.sdk.utils.redaction import secret_values

RESOURCES: Final = ("num_cpus", "num_gpus", "memory")
"""Parameters of an action that are Ray's actor options."""
NOT_REGISTERED: Final = "serve application not registered"


class BaseDeploymentAction(BaseAction[P]):
    """Deploys `entrypoint`: in `execute`, or in steps that share a DeploymentContext."""

    progress: ClassVar[DeploymentProgressCategories] = DeploymentProgressCategories()
    progress_plan: ClassVar[Mapping[str, int]] = {
        DeploymentProgressCategories.INITIALIZE: 10,
        DeploymentProgressCategories.DEPLOY: 80,
        DeploymentProgressCategories.REGISTER: 10,
    }
    entrypoint: ClassVar[type | None] = None
    """The Serve class; its replicas are made with the backend's URL."""

    @property
    def client(self) -> Any:
        """The backend's client. Raises RuntimeError where there is none."""
        if self.ctx.client is None:
            raise RuntimeError("No client in context. Provide a client via RuntimeContext.")
        return self.ctx.client

    @property
    def agent_client(self) -> Any:
        """The capacity agent's client. Raises RuntimeError where there is none."""
        if self.ctx.agent_client is None:
            raise RuntimeError("No agent_client in context. Provide an agent_client via RuntimeContext.")
        return self.ctx.agent_client

    def get_serve_app_name(self) -> str:
        """The Serve application's name: SYNAPSE_PLUGIN_RELEASE_CODE, else CODE@VERSION of config.yaml.

        Raises RuntimeError where there is neither, ValueError for a config.yaml that is none.
        """
        if code := self.ctx.env.get_str("SYNAPSE_PLUGIN_RELEASE_CODE"):
            return code
        config = _config()
        if config is None:
            raise RuntimeError(
                "Cannot determine serve app name. Set SYNAPSE_PLUGIN_RELEASE_CODE env var or ensure "
                "config.yaml exists in working directory."
            )
        return f"{config.code}@{config.version}"

    def get_route_prefix(self) -> str:
        """Where the application answers: SYNAPSE_PLUGIN_RELEASE_CHECKSUM, else a digest of its name.

        In managed mode `/` in place of the digest.
        """
        checksum = self.ctx.env.get_str("SYNAPSE_PLUGIN_RELEASE_CHECKSUM")
        if not checksum and isinstance(self.ctx, ManagedContext):
            return "/"
        name = None if checksum else self.get_serve_app_name()
        return f"/{checksum or hashlib.md5(str(name).encode(), usedforsecurity=False).hexdigest()}"

    def get_ray_actor_options(self) -> dict[str, Any]:
        """Ray's options of one replica: the runtime environment, and resources that the parameters name."""
        params = _dumped(self.params)
        resources = {name: params[name] for name in RESOURCES if params.get(name) is not None}
        return {"runtime_env": self.get_runtime_env(), **resources}

    def get_serve_options(self) -> dict[str, Any]:
        """`serve_options` of this action in config.yaml. Raises ValueError for a config.yaml that is none."""
        config = _config()
        if config is None:
            return {}
        name = self.action_name or _key_of(type(self), config)
        action = config.actions.get(name) if name else None
        return dict(action.serve_options) if action is not None else {}

    def get_runtime_env(self) -> dict[str, Any]:
        """Ray's runtime environment: what requirements.txt in the working directory asks for."""
        try:
            text = Path("requirements.txt").read_text(encoding="utf-8")
        except FileNotFoundError:
            return {}
        config = _config()
        return requirements.runtime_env(
            text, PackageManager.PIP if config is None else config.package_manager
        )

    @override
    def create_context(self) -> DeploymentContext:
        params = _dumped(self.params)
        model_id = params.get("model_id")
        return DeploymentContext(
            runtime_ctx=self.ctx,
            params=params,
            model_id=params.get("model") if model_id is None else model_id,
            serve_app_name=self.get_serve_app_name(),
            route_prefix=self.get_route_prefix(),
            ray_actor_options=self.get_ray_actor_options(),
            serve_options=self.get_serve_options(),
        )

    @override
    def result_of_steps(self, context: Any) -> dict[str, Any]:
        if not isinstance(context, DeploymentContext):
            return {}
        known = {"serve_application": context.serve_app_id} if context.serve_app_id else {}
        return {**known, "deployed": context.deployed}

    def ray_init(self, **kwargs: Any) -> None:
        """`ray.init`, unless this process is connected already. Raises ImportError without Ray.

        Nothing in managed mode: Ray runs the action.
        """
        if isinstance(self.ctx, ManagedContext):
            return
        try:
            import ray  # noqa: PLC0415 - an action that never deploys needs no Ray
        except ImportError as error:
            raise ImportError("Ray is required to deploy: pip install 'raydock[runtime]'") from error
        if not ray.is_initialized():
            ray.init(**kwargs)

    def deploy(self) -> None:
        """Make the Serve application, or update the one of its name, once the capacity agent allows it.

        In managed mode: hand it over to the operator, whose gate has passed.

        Until then nothing that serves is touched, and after an error the old replicas serve on. Raises
        RuntimeError without `entrypoint`, CapacityDenied and CapacityCheckFailed of raydock.sdk.gate,
        ValueError for an option that is none, and what Ray Serve raises.
        """
        if self.entrypoint is None:
            raise RuntimeError(
                "entrypoint must be set to a serve deployment class. Example: entrypoint = MyServeDeployment"
            )
        serve = serve_class.ray_serve()
        name, prefix = self.get_serve_app_name(), self.get_route_prefix()
        actor_options = self.get_ray_actor_options()
        serve_options, batch = serve_class.split_options(self.get_serve_options(), serve)
        if isinstance(self.ctx, ManagedContext):
            self.ctx.handed_over = HandedOver(
                self.entrypoint,
                self._backend_url(),
                name,
                prefix,
                ray_actor_options=actor_options,
                serve_options=serve_options,
                batch=batch,
            )
            return
        application = serve_class.bound(
            self.entrypoint,
            self._backend_url(),
            serve=serve,
            ray_actor_options=actor_options,
            serve_options=serve_options,
            batch=batch,
        )
        require_capacity(
            self.ctx.agent_client,
            ray_actor_options=actor_options,
            serve_options=serve_options,
            plugin_code=name,
            agent_id=self.ctx.env.get_str("SYNAPSE_AGENT_ID") or "",
            warn=self.logger.warning,
            secrets=secret_values(self.ctx.env.to_dict()),
        )
        serve.run(application, name=name, route_prefix=prefix)

    def register_serve_application(self) -> int | None:
        """Tell the backend of the Serve application, as the capacity agent sees it; the id of its record.

        None without a job, and when there is no agent that knows the application. Raises RuntimeError without
        a backend, and the ClientErrors of raydock.sdk.exceptions. In managed mode None: the operator does it
        once the application runs.
        """
        if not self.ctx.job_id or isinstance(self.ctx, ManagedContext):
            return None
        name = self.get_serve_app_name()
        if self.ctx.agent_client is None:
            self.logger.warning(f"{NOT_REGISTERED}: agent_client not provided")  # noqa: G004 - a job's log
            return None
        try:
            told = dict(self.agent_client.get_serve_application(name))
        except Exception as error:  # noqa: BLE001 - of any client; it serves all the same
            kind = type(error).__name__  # its text may name the agent
            self.logger.warning(f"{NOT_REGISTERED}: agent unreachable ({kind})")  # noqa: G004 - a job's log
            return None
        record = {"job": self.ctx.job_id, "status": told.get("status"), "data": told}
        made = self.client.create_serve_application({k: v for k, v in record.items() if v is not None})
        found: int | None = made.get("id")
        return found

    def _backend_url(self) -> str:
        env = self.ctx.env
        return env.get_str("SYNAPSE_PLUGIN_RUN_HOST") or env.get_str("SYNAPSE_HOST") or ""


def _config() -> PluginConfig | None:
    """The plugin in the working directory; None without a config. Raises ValueError for one that is none."""
    try:
        return PluginConfig.from_file(Path.cwd())
    except FileNotFoundError:
        return None
    except ValidationError as error:
        raise ValueError(error.message) from error


def _key_of(action: type, config: PluginConfig) -> str | None:
    """The key in config.yaml whose entrypoint is `action`."""
    names = {f"{action.__module__}.{action.__qualname__}", f"{action.__module__}:{action.__qualname__}"}
    return next((key for key, known in config.actions.items() if known.entrypoint in names), None)


def _dumped(params: Any) -> dict[str, Any]:
    return params.model_dump() if isinstance(params, BaseModel) else dict(params or {})
