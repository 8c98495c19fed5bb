"""The operator's settings: a YAML file named by RAYDOCK_SETTINGS, then RAYDOCK_… variables over it.

The file is flat: keys of `Settings` here, all others belong to raydock.plan.defaults.Defaults. In a
variable's name `__` steps into an object: RAYDOCK_CAPACITY__PROVIDER, RAYDOCK_DEFAULTS__RUNTIME_IMAGE.
"""

import os
import socket
from pathlib import Path
from typing import Annotated, Any, Final, Literal

import yaml
from annotated_types import Ge, Le
from pydantic import AliasChoices, BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict
from typing_extensions import override

from raydock.plan.defaults import Defaults

FILE_VARIABLE: Final = "RAYDOCK_SETTINGS"

Port = Annotated[int, Ge(0), Le(65535)]


_AS_WRITTEN: Final = ConfigDict(
    frozen=True,
    extra="forbid",
    alias_generator=to_camel,
    populate_by_name=True,
    use_attribute_docstrings=True,
)


class Agent(BaseModel):
    """Whom the provider `agent` asks."""

    model_config = _AS_WRITTEN

    url: str = ""
    """Base URL; `resources/feasibility/` is below it."""
    id: str = ""
    """Sent as `metadata.agent`."""
    credentials_dir: str = "/etc/raydock-agent"
    """Directory of a mounted Secret: entry `token`, and `user-token` and `tenant` if there are such."""


class Taint(BaseModel):
    """A taint of a node to come."""

    model_config = _AS_WRITTEN

    key: str
    """As in core/v1 Taint."""
    value: str = ""
    """As in core/v1 Taint."""
    effect: Literal["NoSchedule", "PreferNoSchedule", "NoExecute"]
    """As in core/v1 Taint."""


class NodeShape(BaseModel):
    """A kind of node that the cluster's autoscaler can add."""

    model_config = _AS_WRITTEN

    resources: dict[str, str]
    """What it leaves to our pods: allocatable, less what a DaemonSet's pods take; core/v1 quantities."""
    labels: dict[str, str] = {}
    """What nodeSelectors and node affinity look at."""
    taints: tuple[Taint, ...] = ()
    """What must be tolerated."""


class Capacity(BaseModel):
    """Who says whether something fits."""

    model_config = _AS_WRITTEN

    provider: Literal["cluster", "agent", "none"] = "cluster"
    """`cluster`: count the nodes' free room. `agent`: ask one over HTTP. `none`: let everything start."""
    autoscaler: bool = False
    """Whether the cluster adds nodes for pods that find none: then what takes nothing away is let start."""
    node_shapes: tuple[NodeShape, ...] = ()
    """What such nodes are like: what none of them could hold is not let start. Empty: like anything."""
    agent: Agent = Agent()
    """Whom the provider `agent` asks."""


class Settings(BaseSettings):
    """Read once, at the start."""

    model_config = SettingsConfigDict(
        env_prefix="RAYDOCK_",
        env_nested_delimiter="__",
        frozen=True,
        extra="forbid",
        populate_by_name=True,
        use_attribute_docstrings=True,
    )

    defaults: Defaults = Defaults()
    capacity: Capacity = Capacity()
    kubeconfig: str | None = None
    """Path; None: the pod's service account, or else the kubeconfig that kubectl would take."""
    watch_namespaces: tuple[str, ...] = ()
    """Only objects of these namespaces; empty: of all. The gate then counts the pods of these only."""
    workers: Annotated[int, Ge(1), Le(100)] = 16
    """Objects worked on at once; they mostly wait for the API server."""
    resync_seconds: Annotated[int, Ge(30)] = 600
    """Between two comparisons of what the watches told with what there is."""
    http_host: str = "0.0.0.0"  # noqa: S104 - probes, Prometheus and batch drivers come from other pods
    http_port: Port = 8080
    """Metrics, probes and progress reports. 0: any free one."""
    lease_name: str = "raydock-operator"
    lease_namespace: str = Field(
        "raydock-system",
        validation_alias=AliasChoices("RAYDOCK_LEASE_NAMESPACE", "POD_NAMESPACE"),
    )
    identity: str = Field(
        default_factory=socket.gethostname,
        validation_alias=AliasChoices("RAYDOCK_IDENTITY", "POD_NAME"),
    )
    """Who holds the Lease and reports in events: the pod's name."""
    log_level: Literal["debug", "info", "warning", "error"] = "info"

    @classmethod
    @override
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Arguments over variables over the file."""
        return init_settings, env_settings, _File(settings_cls)


class _File(PydanticBaseSettingsSource):
    """The YAML file, its keys sorted into our own and those of Defaults."""

    @override
    def get_field_value(self, field: Any, field_name: str) -> tuple[Any, str, bool]:
        return None, field_name, False

    @override
    def __call__(self) -> dict[str, Any]:
        path = os.environ.get(FILE_VARIABLE)  # noqa: TID251 - settings.py reads it
        if not path:
            return {}
        found = yaml.safe_load(Path(path).read_text()) or {}
        if not isinstance(found, dict):
            raise TypeError(f"{FILE_VARIABLE}: want a mapping at the top of the file")
        # By field names, as the variables are: pydantic-settings merges the two key by key.
        ours, theirs = _fields(Settings), _fields(Defaults)
        own = {ours[key]: value for key, value in found.items() if key in ours}
        rest = {theirs.get(key, key): value for key, value in found.items() if key not in ours}
        return {**own, "defaults": {**rest, **own.get("defaults", {})}}


def _fields(model: type[BaseModel]) -> dict[str, str]:
    """Field names by their key in a file."""
    return {to_camel(name): name for name in model.model_fields}
