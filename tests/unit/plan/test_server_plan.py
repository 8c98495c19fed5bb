"""What each form of spec.server is imported as, and what else the pods are told of it."""

from typing import Any

import pytest

from raydock.api.workload import Server
from raydock.errors import Terminal
from raydock.models.entry import load_attribute
from raydock.plan import server
from raydock.reasons import Reason

MLFLOW: dict[str, Any] = {"mlflow": {}}
HUGGINGFACE: dict[str, Any] = {"huggingface": {"task": "text-generation"}}


def given(written: dict[str, Any]) -> Server:
    return Server.model_validate(written)


def test_the_users_own_code_is_imported_as_it_is_written() -> None:
    own = given({"importPath": "iris:app"})
    assert (server.app_path(own), server.batch_path(own), server.task(own)) == ("iris:app", "iris:app", None)


@pytest.mark.parametrize("written", [MLFLOW, HUGGINGFACE], ids=lambda one: next(iter(one)))
def test_a_ready_made_server_is_there_for_requests_and_batches(written: dict[str, Any]) -> None:
    for path in (server.app_path(given(written)), server.batch_path(given(written))):
        assert callable(load_attribute(path))


def test_the_pods_learn_the_task() -> None:
    assert server.task(given(HUGGINGFACE)) == "text-generation"
    assert server.task(given(MLFLOW)) is None


def test_a_server_without_a_member_is_told() -> None:
    for path in (server.app_path, server.batch_path):
        with pytest.raises(
            Terminal, match="exactly one of importPath, action, mlflow and huggingface"
        ) as stopped:
            path(given({}))
        assert stopped.value.reason is Reason.INVALID_SPEC


def test_an_empty_member_is_kept_when_it_is_written() -> None:
    assert given(MLFLOW).as_json() == MLFLOW
