"""The names that plugins import are those of contracts/actions.md 15."""

import importlib
from typing import Final

import pytest

INFERENCE: Final = (
    "BaseInferenceAction InferenceContext InferenceProgressCategories "
    "BaseDeploymentAction DeploymentContext DeploymentProgressCategories "
    "BaseServeDeployment create_serve_multiplexed_model_id"
)
STEPS: Final = (
    "BaseStep BaseStepContext Orchestrator StepRegistry StepResult LoggingStep TimingStep ValidationStep"
)
NAMES: Final = {
    "plugins.actions.inference": INFERENCE,
    "plugins.actions.inference.deferred": "is_poll_request extract_ticket pending_envelope failed_envelope "
    "not_found_envelope is_deferred_envelope is_pending TicketStore DEFERRED_ENVELOPE_KEY POLL_REQUEST_KEY "
    "STATUS_PENDING STATUS_FAILED STATUS_NOT_FOUND",
    "plugins.steps": STEPS,
    "plugins": f"{INFERENCE} {STEPS} BaseAction NoResult validate_result action RuntimeContext PluginConfig "
    "ActionConfig PluginCategory PluginError ValidationError ExecutionError ActionNotFoundError "
    "InferenceResult run_plugin",
    "plugins.action": "BaseAction NoResult validate_result",
    "plugins.context": "RuntimeContext PluginEnvironment",
    "plugins.enums": "PluginCategory RunMethod ExecutionMode PackageManager DataType",
    "plugins.schemas": "InferenceResult",
    "plugins.errors": "PluginError ValidationError ExecutionError ActionNotFoundError ModelLoadError "
    "PluginRunError",
    "plugins.models.logger": "LogLevel ProgressData LogEntry MessageLogData",
    "plugins.log_messages": "LogMessageCode CommonLogMessageCode register_log_messages resolve_log_message",
    "plugins.discovery": "PluginDiscovery",
    "plugins.runner": "run_plugin ExecutionMode",
    "plugins.decorators": "action",
    "plugins.executors.local": "LocalExecutor",
    "loggers": "BaseLogger BackendLogger ConsoleLogger JobLogger NoOpLogger TqdmLogger",
    "enums": "FileField",
    "exceptions": "ClientError ClientConnectionError ClientResponseIncompleteError ClientTimeoutError "
    "HTTPError AuthenticationError AuthorizationError NotFoundError ValidationError RateLimitError "
    "ServerError GpuUnavailableError raise_for_status",
    "clients.backend": "BackendClient JobStatus",
    "clients.agent": "AgentClient AsyncAgentClient",
    "utils.redaction": "redact_url redact_auth_header redact_text sanitize_exception",
}
"""Module under raydock.sdk → names. A module that is new gets its row here."""


@pytest.mark.parametrize("module", NAMES)
def test_plugins_find_the_names_of_the_contract(module: str) -> None:
    found = dir(importlib.import_module(f"raydock.sdk.{module}"))
    assert [name for name in NAMES[module].split() if name not in found] == []


@pytest.mark.parametrize(
    "module", ["plugins", "plugins.actions.inference", "plugins.steps", "plugins.models.logger"]
)
def test_packages_publish_nothing_else(module: str) -> None:
    published = set(importlib.import_module(f"raydock.sdk.{module}").__all__)
    assert published - set(NAMES[module].split()) == set()


@pytest.mark.parametrize("kind", ["train", "export", "upload", "dataset", "auto_label", "to_task"])
def test_an_import_of_another_kind_of_action_says_that_there_is_none(kind: str) -> None:
    with pytest.raises(
        ImportError, match=f"raydock.sdk has no {kind}: it runs inference and deployment actions only"
    ):
        importlib.import_module(f"raydock.sdk.plugins.actions.{kind}")


def test_so_does_the_import_of_its_class() -> None:
    with pytest.raises(ImportError, match="has no BaseTrainAction: "):
        exec("from raydock.sdk.plugins import BaseTrainAction")
    with pytest.raises(ImportError, match="cannot import name 'Nothing'"):
        exec("from raydock.sdk.plugins import Nothing")
