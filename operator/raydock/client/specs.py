"""The arguments of `run_batch`, with the names that users of Snowflake know, and what they become."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final

GPU: Final = "nvidia.com/gpu"
GENERATED: Final = "batch-inference-"
"""generateName of a job without job_name; the vendor's BATCH_INFERENCE_<UUID> is no name in Kubernetes."""
_MEMORY: Final = re.compile(r"(\d+(?:\.\d+)?)\s*([A-Za-z]*)")
_UNITS: Final[Mapping[str, str]] = {
    "": "",
    **{unit: unit for unit in ("k", "M", "G", "T", "Ki", "Mi", "Gi", "Ti")},
    **{f"{unit}B": unit for unit in ("M", "G", "T", "Ki", "Mi", "Gi", "Ti")},
    "KB": "k",
}


class SaveMode(StrEnum):
    """What to do with an output that holds something."""

    ERROR = "Error"
    OVERWRITE = "Overwrite"
    APPEND = "Append"


class InputFormat(StrEnum):
    """What the values of a column are."""

    FULL_STAGE_PATH = "Path"
    PATH = "Path"
    MESSAGES = "Messages"


class FileEncoding(StrEnum):
    """What the model gets in place of a path."""

    RAW_BYTES = "RawBytes"
    BASE64 = "Base64"
    BASE64_DATA_URL = "Base64DataUrl"
    PATH = "Path"


class InferenceEngine(StrEnum):
    """Ready-made servers of models."""

    VLLM = "vllm"


@dataclass(frozen=True)
class OutputSpec:
    """Where the result goes."""

    stage_location: str
    """`output.uri`."""
    mode: SaveMode = SaveMode.ERROR

    def fields(self) -> dict[str, Any]:
        """`spec.output`. Raises ValueError for a Snowflake stage."""
        if self.stage_location.startswith("@"):
            raise ValueError(
                f"{self.stage_location}: stages exist only in Snowflake; write a URI as pvc://CLAIM/PATH"
            )
        mode = {"saveMode": str(SaveMode(self.mode))} if self.mode is not SaveMode.ERROR else {}
        return {"uri": self.stage_location, **mode}


@dataclass(frozen=True)
class InputSpec:
    """What the model is told beside the rows."""

    params: Mapping[str, Any] | None = None
    column_handling: Mapping[str, Mapping[str, Any]] | None = None
    """By column `{"input_format": InputFormat.…, "convert_to": FileEncoding.…}`."""
    partition_column: str | None = None

    def fields(self) -> dict[str, Any]:
        """`spec.params` and `spec.columns`. Raises ValueError for what raydock does not have."""
        if self.partition_column is not None:
            raise ValueError(
                "partition_column: partitioned models are not supported; run one job for each partition"
            )
        columns = {name: _handled(name, asked) for name, asked in (self.column_handling or {}).items()}
        found = {"params": dict(self.params or {}), "columns": columns}
        return {name: value for name, value in found.items() if value}


@dataclass(frozen=True)
class JobSpec:
    """How the job runs. `warehouse` and `force_rebuild` are taken and mean nothing here."""

    job_name: str | None = None
    replicas: int | None = None
    max_batch_rows: int | None = None
    cpu_requests: str | float | None = None
    memory_requests: str | None = None
    gpu_requests: str | int | None = None
    num_workers: int | None = None
    image_repo: str | None = None
    function_name: str | None = None
    force_rebuild: bool = False
    warehouse: str | None = None

    def metadata(self) -> dict[str, Any]:
        """`metadata` without a namespace."""
        return {"name": self.job_name} if self.job_name else {"generateName": GENERATED}

    def fields(self) -> dict[str, Any]:
        """The parts of `spec`; absent ones take the API's defaults. Raises ValueError for an unknown unit."""
        counts = {"max": self.replicas, "concurrency": self.num_workers}
        found = {
            "workers": {name: count for name, count in counts.items() if count is not None},
            "maxBatchRows": self.max_batch_rows,
            "resources": self._resources(),
            "image": self.image_repo,
            "function": self.function_name,
        }
        return {name: value for name, value in found.items() if value not in (None, {})}

    def _resources(self) -> dict[str, Any]:
        memory = memory_quantity(self.memory_requests) if self.memory_requests is not None else None
        requests = {"cpu": self.cpu_requests, "memory": memory}
        asked = {name: str(value) for name, value in requests.items() if value is not None}
        gpus = {GPU: str(self.gpu_requests)} if self.gpu_requests is not None else {}
        return {name: value for name, value in (("requests", asked), ("limits", gpus)) if value}


def memory_quantity(text: str) -> str:
    """`8GiB` as Kubernetes writes it, `8Gi`; `8GB` becomes `8G`. Raises ValueError for an unknown unit."""
    match = _MEMORY.fullmatch(text.strip())
    if match is None or match[2] not in _UNITS:
        raise ValueError(f"memory_requests {text!r}: write a number with a unit, as 8GiB, 512MiB or 8GB")
    return match[1] + _UNITS[match[2]]


def model_fields(model: str | Mapping[str, Any]) -> dict[str, Any]:
    """What runs: a Deployment's name, or fields of the spec with `server`. Raises ValueError."""
    if isinstance(model, str):
        return {"deployment": model}
    if "endpoint" in model:
        raise ValueError("endpoint: give the name of the Deployment behind it")
    if "vllm" in (model.get("server") or {}):
        raise ValueError(NO_ENGINE)
    if not ({"server", "deployment"} & model.keys()):
        raise ValueError(
            "model: give the name of a Deployment, or a mapping with server, as "
            '{"server": {"importPath": "module:Class"}, "model": {"uri": "pvc://…"}}'
        )
    return dict(model)


NO_ENGINE: Final = (
    "vLLM is no server of batch jobs yet: give a model that starts it, as "
    '{"server": {"importPath": "module:Class"}} with vllm.LLM in the class'
)


def refuse_engine(options: Mapping[str, Any] | None) -> None:
    """Raises ValueError unless the model's own server is meant."""
    if options:
        raise ValueError(NO_ENGINE)


def selector(compute_pool: Mapping[str, str] | str | None) -> dict[str, Any]:
    """`spec.nodeSelector`: labels of nodes. Raises ValueError for a name."""
    if isinstance(compute_pool, str):
        raise ValueError(  # noqa: TRY004 - a pool's name is right elsewhere, and no value here
            f"compute_pool {compute_pool!r}: there is no list of pools to look it up in; give the labels of "
            'its nodes, as {"node.kubernetes.io/instance-type": "g5.xlarge"}'
        )
    return {"nodeSelector": dict(compute_pool)} if compute_pool else {}


def _handled(name: str, asked: Mapping[str, Any]) -> dict[str, str]:
    known: Sequence[tuple[str, str, type[StrEnum]]] = (
        ("input_format", "inputFormat", InputFormat),
        ("convert_to", "convertTo", FileEncoding),
    )
    unknown = asked.keys() - {argument for argument, _, _ in known}
    if unknown:
        raise ValueError(
            f"column_handling of {name}: {', '.join(sorted(unknown))} is none of input_format, convert_to"
        )
    return {field: str(kind(asked[argument])) for argument, field, kind in known if argument in asked}
