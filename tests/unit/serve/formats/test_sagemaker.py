"""boto3 itself against the host: only URL and credentials are changed."""

from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.config import Config
from botocore.eventstream import EventStreamBuffer
from botocore.exceptions import ClientError, EventStreamError
from starlette.types import ASGIApp

from raydock.serve.formats import eventstream
from raydock.wire.access import REFUSE_HEADER, Format
from raydock.wire.host import Limits
from tests.kit.live import live
from tests.unit.serve.formats.gateway import PART, routed, served

FLOWER = b'{"x": 1}'


@contextmanager
def client(app: ASGIApp, key: str | None = "key") -> Iterator[Any]:
    with live(app) as address, closing(_client(address, key)) as made:
        yield made


def _client(address: str, key: str | None) -> Any:
    return boto3.client(
        "sagemaker-runtime",
        region_name="us-east-1",
        endpoint_url=f"http://{address}/demo",
        aws_access_key_id="any",
        aws_secret_access_key="any",
        aws_session_token=key,
        config=Config(retries={"total_max_attempts": 1}),
    )


@pytest.fixture
def runtime(tmp_path: Path) -> Iterator[Any]:
    with client(routed(served(tmp_path), Format.SAGEMAKER)) as made:
        yield made


def ask(runtime: Any, body: bytes = FLOWER, **more: Any) -> Any:
    return runtime.invoke_endpoint(EndpointName="iris", ContentType="application/json", Body=body, **more)


def refusal(runtime: Any, body: bytes = FLOWER, **more: Any) -> tuple[int, str, str]:
    with pytest.raises(ClientError) as found:
        ask(runtime, body, **more)
    said = found.value.response
    return said["ResponseMetadata"]["HTTPStatusCode"], said["Error"]["Code"], said["Error"]["Message"]


def test_an_answer_has_all_that_the_client_reads(runtime: Any) -> None:
    got = ask(runtime, CustomAttributes="trace=1", InferenceId="mine-1", Accept="application/json")
    assert got["ResponseMetadata"]["HTTPStatusCode"] == 200
    assert (got["ContentType"], got["InvokedProductionVariant"]) == ("application/json", "iris-v1")
    assert got["CustomAttributes"] == "trace=1", "what was sent comes back where the app says nothing"
    seen = got["Body"].read()
    assert b'"path":"/predict"' in seen
    assert b'"x-amzn-sagemaker-custom-attributes":"trace=1"' in seen
    assert got["ResponseMetadata"]["HTTPHeaders"]["x-amzn-sagemaker-inference-id"] == "mine-1"
    assert b"x-amz-security-token" not in seen
    assert b'"authorization"' not in seen


def test_the_apps_attributes_go_before_the_callers(runtime: Any) -> None:
    assert ask(runtime, b'{"attribute": 1}', CustomAttributes="mine")["CustomAttributes"] == "of the app"


def test_a_body_that_is_no_json_reaches_the_app_as_it_is(runtime: Any) -> None:
    sent = bytes(range(256)) * 40
    got = runtime.invoke_endpoint(EndpointName="iris", ContentType="application/x-image", Body=sent)
    assert (got["Body"].read(), got["ContentType"]) == (sent, "application/x-image")


@pytest.mark.parametrize(
    ("key", "want"),
    [
        ("wrong", (401, "UnrecognizedClientException")),
        ("other", (403, "AccessDeniedException")),
        (None, (401, "UnrecognizedClientException")),
    ],
)
def test_a_key_is_needed(tmp_path: Path, key: str | None, want: tuple[int, str]) -> None:
    with client(routed(served(tmp_path), Format.SAGEMAKER), key) as made:
        assert refusal(made)[:2] == want


def test_a_variant_is_asked_by_its_name(runtime: Any) -> None:
    assert ask(runtime, TargetVariant="iris-v1")["InvokedProductionVariant"] == "iris-v1"
    assert refusal(runtime, TargetVariant="iris-v9")[:2] == (400, "ValidationError")


@pytest.mark.parametrize(
    ("options", "word"),
    [
        ({"TargetModel": "m"}, "TargetModel"),
        ({"TargetContainerHostname": "c"}, "TargetContainerHostname"),
        ({"InferenceComponentName": "c"}, "InferenceComponentName"),
        ({"EnableExplanations": "true"}, "EnableExplanations"),
        ({"SessionId": "NEW_SESSION"}, "SessionId"),
    ],
)
def test_an_option_that_is_not_there_is_refused_by_name(
    runtime: Any, options: dict[str, Any], word: str
) -> None:
    status, kind, told = refusal(runtime, **options)
    assert (status, kind) == (400, "ValidationError")
    assert told.startswith(f"{word} is not supported")


def test_an_error_of_the_model(runtime: Any) -> None:
    with pytest.raises(runtime.exceptions.ModelError) as found:
        ask(runtime, b'{"do": "fail"}')
    said = found.value.response
    assert said["ResponseMetadata"]["HTTPStatusCode"] == 424
    assert (said["OriginalStatusCode"], said["OriginalMessage"]) == (422, '{"detail":"that is no flower"}')


def test_a_crash_of_the_model_tells_nothing_of_it(runtime: Any) -> None:
    with pytest.raises(runtime.exceptions.ModelError) as found:
        ask(runtime, b'{"do": "crash"}')
    assert found.value.response["OriginalStatusCode"] == 500
    assert "never told" not in str(found.value.response)


def test_what_the_host_refuses(tmp_path: Path) -> None:
    none = served(tmp_path)
    with client(routed(none, Format.SAGEMAKER, {REFUSE_HEADER: "NoTraffic"})) as made:
        assert refusal(made)[:2] == (503, "ServiceUnavailable")
    full = served(tmp_path, limits=Limits(body_bytes=10))
    with client(routed(full, Format.SAGEMAKER)) as made:
        assert refusal(made, b"x" * 11)[:2] == (413, "ValidationError")


def test_asynchronous_requests_are_refused_where_none_are_taken(runtime: Any) -> None:
    with pytest.raises(ClientError, match="takes no asynchronous requests"):
        runtime.invoke_endpoint_async(EndpointName="iris", InputLocation="s3://bucket/row.json")


def streamed(runtime: Any, body: bytes) -> Any:
    return runtime.invoke_endpoint_with_response_stream(
        EndpointName="iris", ContentType="application/json", Accept="text/plain", Body=body
    )


def test_a_stream_is_what_the_app_wrote(runtime: Any) -> None:
    got = streamed(runtime, b'{"do": "stream"}')
    assert got["ContentType"].startswith("text/plain")
    assert got["InvokedProductionVariant"] == "iris-v1"
    parts = [event["PayloadPart"]["Bytes"] for event in got["Body"]]
    assert b"".join(parts) == b"".join(PART + f"{n}\n".encode() for n in range(3))
    assert len(parts) >= 3


def test_a_stream_of_a_model_that_cannot_is_one_part(runtime: Any) -> None:
    (event,) = streamed(runtime, b'{"do": "list"}')["Body"]
    assert event["PayloadPart"]["Bytes"] == b"[1,2]"


def test_a_stream_that_breaks_says_so(runtime: Any) -> None:
    got = streamed(runtime, b'{"do": "break"}')
    with closing(got["Body"]), pytest.raises(EventStreamError) as found:
        list(got["Body"])
    assert "ModelStreamError" in str(found.value)
    assert "never told" not in str(found.value)


def test_an_error_before_the_stream(runtime: Any) -> None:
    with pytest.raises(runtime.exceptions.ModelError):
        streamed(runtime, b'{"do": "fail"}')


def test_where_paths_are_lent_out_it_is_that_of_a_container(tmp_path: Path) -> None:
    with client(routed(served(tmp_path, invoke=True), Format.SAGEMAKER)) as made:
        assert b'"path":"/invocations"' in ask(made)["Body"].read()


def test_a_large_chunk_is_cut_and_an_empty_one_is_none() -> None:
    sent = b"x" * (2 * eventstream.PART_MAX + 1)
    messages = list(eventstream.parts(sent))
    assert [len(m) > eventstream.PART_MAX for m in messages] == [True, True, False]
    reader = EventStreamBuffer()
    reader.add_data(b"".join(messages))
    assert b"".join(event.payload for event in reader) == sent
    assert list(eventstream.parts(b"")) == []


def test_a_stream_that_takes_too_long_says_so(tmp_path: Path) -> None:
    made = served(tmp_path, limits=Limits(stream_timeout_s=1))
    with client(routed(made, Format.SAGEMAKER)) as runtime:
        got = streamed(runtime, b'{"do": "wait"}')
        with closing(got["Body"]), pytest.raises(EventStreamError, match="took too long"):
            list(got["Body"])
