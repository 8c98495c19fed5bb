"""Words of config.yaml."""

from enum import StrEnum

from typing_extensions import override


class PluginCategory(StrEnum):
    """What a plugin is for."""

    NEURAL_NET = "neural_net"
    EXPORT = "export"
    UPLOAD = "upload"
    SMART_TOOL = "smart_tool"
    PRE_ANNOTATION = "pre_annotation"
    POST_ANNOTATION = "post_annotation"
    DATA_VALIDATION = "data_validation"
    CUSTOM = "custom"


class RunMethod(StrEnum):
    """How an action is run by the backend."""

    JOB = "job"
    TASK = "task"
    SERVE = "serve"
    RESTAPI = "restapi"


class ExecutionMode(StrEnum):
    """Where an action is run from the command line."""

    LOCAL = "local"
    TASK = "task"
    JOB = "job"
    REMOTE = "remote"

    @classmethod
    @override
    def _missing_(cls, value: object) -> "ExecutionMode":
        """`jobs-api` is the old name of `job`. Raises ValueError for other words."""
        if value == "jobs-api":
            return cls.JOB
        raise ValueError(f"Invalid mode: {value}. Use local, task, job, or remote.")


class PackageManager(StrEnum):
    """What installs the requirements of a plugin."""

    PIP = "pip"
    UV = "uv"


class DataType(StrEnum):
    """What a model works on."""

    IMAGE = "image"
    TEXT = "text"
    VIDEO = "video"
    PCD = "pcd"
    AUDIO = "audio"
