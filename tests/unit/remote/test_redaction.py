"""What is taken out of other people's texts."""

from typing import Any

import pytest

from raydock.remote.redaction import redact, redact_text, without_credentials
from tests.kit.authorization import SECRET, VALUES, forms

SECRETS = ("s3cr3t-token", "agent.example")


@pytest.mark.parametrize(
    ("text", "want"),
    [
        ("1 GPU short", "1 GPU short"),
        ("see https://x.example/a?b=c.", "see <redacted-url>"),
        ("s3://bucket/key is away", "<redacted-url> is away"),
        ("Authorization: Bearer abc", "Authorization: <redacted-auth>"),
        ("{'Authorization': 'abc'}", "{'Authorization': '<redacted-auth>'}"),
        ("'authorization': b'Negotiate abc def', 'x': 1", "'authorization': b'<redacted-auth>', 'x': 1"),
        ('Authorization: Digest abc="d", e=f\nHost: x', "Authorization: <redacted-auth>\nHost: x"),
        ("(curl -H 'Authorization: Odd abc=' a) b\nc", "(curl -H 'Authorization: <redacted-auth>\nc"),
        ("Authorization: <redacted-auth>, else", "Authorization: <redacted-auth>, else"),
        ("Authorization header missing", "Authorization header missing"),
        ("authorization, quota and rate", "authorization, quota and rate"),
        ('"SYNAPSE-User": "Token abc"', '"SYNAPSE-User": "<redacted-auth>"'),
        ("Synapse-Access-Token=Token abc", "Synapse-Access-Token=<redacted-auth>"),
        ("got Bearer abcdefgh12", "got <redacted-auth>"),
        ("Token of the queue", "Token of the queue"),
        ("eyJhbGciOi.eyJtb2RlbCI.c2ln here", "<redacted-auth> here"),
        ("token-eyJhbGciOi.eyJtb2RlbCI.c2ln here", "token-<redacted-auth> here"),
        ("monkeyJar.a.b", "monkeyJar.a.b"),
        (f"{'x' * 40}://host/x", f"{'x' * 9}<redacted-url>"),
        ("Cannot connect to host='a.b' port=80", "Cannot connect to host=<redacted-url> port=<redacted-url>"),
        ("at 10.0.0.1:8080", "at <redacted-url>"),
        ("my S3CR3T-token is out", "my <redacted-auth> is out"),
        ("AGENT.example says no", "<redacted-auth> says no"),
        ("see https://agent.example/x?sig=abc", "see <redacted-url>"),
    ],
)
def test_a_text(text: str, want: str) -> None:
    assert redact_text(text, SECRETS) == want


@pytest.mark.parametrize("value", VALUES)
def test_an_authorization_of_any_scheme_goes_as_a_whole(value: str) -> None:
    told = {text: (redact_text(text), without_credentials(text)) for text in forms(value)}
    assert {text: both for text, both in told.items() if any(SECRET in one for one in both)} == {}


def test_what_stands_beside_an_authorization_stays() -> None:
    for text in forms("Odd abc"):
        one_line = "\\r\\nauthorization:" in text  # as Python shows a request: nothing ends the value
        assert ("*/*" in text and not one_line) == ("*/*" in without_credentials(text)), text


@pytest.mark.parametrize("name", ["Authorization", "authorization", b"Authorization", "SYNAPSE-User"])
@pytest.mark.parametrize("value", ["Negotiate abc", b"abc", ["Basic abc"], 7])
def test_the_value_of_a_header_goes_whatever_it_is(name: str | bytes, value: Any) -> None:
    found = redact({"a": {name: value}, "b": [(name, value), "x"]})
    assert found == {"a": {str(name): "<redacted-auth>"}, "b": [[str(name), "<redacted-auth>"], "x"]}


def test_empty_secrets_hide_nothing() -> None:
    assert redact_text("all of it", ("", "o")) == "all of it"


def test_everything_that_json_holds() -> None:
    told = {"a": ["http://x.example", 1, None, {"s3cr3t-token": "s3cr3t-token"}], "b": True}
    assert redact(told, SECRETS) == {
        "a": ["<redacted-url>", 1, None, {"<redacted-auth>": "<redacted-auth>"}],
        "b": True,
    }


def test_what_lies_too_deep_is_left_out() -> None:
    value: Any = "http://x.example"
    for _ in range(20):
        value = [value]
    assert "example" not in str(redact(value))


@pytest.mark.parametrize(
    ("text", "want"),
    [
        ("read s3://data/in/part-1.parquet at 10.0.0.1:80", None),
        ("next_token = sample(tokens); primary_key=5", None),
        ("my s3cr3t-token is out", "my <redacted-auth> is out"),
        ("Authorization: Bearer abc", "Authorization: <redacted-auth>"),
        ("got eyJhbGciOi.eyJtb2RlbCI.c2ln", "got <redacted-auth>"),
        ("https://u:p@host/x?a=1", "https://<redacted-auth>@host/x?a=1"),
        ("GET /x?X-Amz-Signature=abc&b=2", "GET /x?X-Amz-Signature=<redacted-auth>&b=2"),
        ("GET /x?a=b?my_token_2=abc", "GET /x?a=b?my_token_2=<redacted-auth>"),
        ("AWS_SECRET_ACCESS_KEY=wJal/rX next", "AWS_SECRET_ACCESS_KEY=<redacted-auth> next"),
        ("{'HF_TOKEN': 'hf_abc'}", "{'HF_TOKEN': '<redacted-auth>'}"),
    ],
)
def test_a_log_loses_its_credentials_only(text: str, want: str | None) -> None:
    assert without_credentials(text, SECRETS) == (text if want is None else want)


@pytest.mark.timeout(30)
@pytest.mark.parametrize(
    "unit",
    ["a.", "a-", "eyJ-", "eyJa.", "?", "?sig", "&sig", "TOKEN", "TOKEN ", "host ", "1.", "a://",
     "Authorization", "Authorization:", "Authorization: \\", "Authorization: \\\"", "Authorization:a='",
     "Authorization:a; ", "authorization:\n ", "'Authorization','value':[", "Authorization: a=\"\n"],
)  # fmt: skip
def test_a_long_text_is_read_a_bounded_number_of_times(unit: str) -> None:
    text = unit * (400_000 // len(unit))
    redact_text(text)
    without_credentials(text)
