"""Model tokens: who can make one, what a replica takes, and how keys are rotated."""

import base64
import json
import math
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jwt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from raydock.sdk.plugins.actions.inference import create_serve_multiplexed_model_id
from raydock.sdk.plugins.errors import ModelLoadError
from raydock.sdk.plugins.serving import model_token
from raydock.sdk.plugins.serving.model_token import (
    Claims,
    LegacyModelTokenWarning,
    Rules,
    signed,
    verified,
)
from raydock.sdk.plugins.serving.token_keys import LOOK_EVERY_S, TokenKeys

URL = "https://api.example.com"
KEY_ENV, KEY_FILE_ENV = "RAYDOCK_MODEL_TOKEN_KEY", "RAYDOCK_MODEL_TOKEN_KEY_FILE"
KEY, OTHER = b"k" * 32, b"o" * 40
KEY_ID, OTHER_ID = "5e318f8cf9cbe249", "d46c248baecc4def"
"""The first 16 hex digits that sha256sum says of them."""
NOW = 1_800_000_001.0
CLAIMS = Claims("123", "tok-planted-0001", "my-tenant")
LEGACY = (
    "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.eyJtb2RlbCI6IjEyMyIsInRva2VuIjoidG9rIiwidGVuYW50IjoibXktdGVuYW50In0"
    ".QhD6DUOvlqH54uDH16PZ0XBtG_nlJXqIL0Th9wKDUBY"
)
TEXTS = st.text(st.characters(exclude_categories=["Cs"]), min_size=1)


@pytest.fixture(autouse=True)
def no_key_of_this_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(KEY_ENV, raising=False)
    monkeypatch.delenv(KEY_FILE_ENV, raising=False)


def rules(*keys: bytes, legacy: bool = False, audience: str = "raydock") -> Rules:
    return Rules(keys or (KEY,), audience, legacy, URL)


def made(payload: Any, key: bytes = KEY, **header: Any) -> str:
    """A token that says anything."""
    parts = [{"alg": "HS256", "typ": "JWT", **header}, payload]
    text = ".".join(_base64(json.dumps(part).encode()) for part in parts)
    signature = jwt.algorithms.HMACAlgorithm(jwt.algorithms.HMACAlgorithm.SHA256).sign(text.encode(), key)
    return f"{text}.{_base64(signature)}"


def _base64(content: bytes) -> str:
    return base64.urlsafe_b64encode(content).rstrip(b"=").decode()


def refusal(text: str, by: Rules, now: float = NOW) -> tuple[int, str]:
    """Status and code; the error tells nothing of the token."""
    with pytest.raises(ModelLoadError) as raised:
        verified(text, by, now)
    told = f"{raised.value} {raised.value.details}"
    assert CLAIMS.token not in told
    assert len(text) < 30 or text not in told
    return raised.value.status_code, raised.value.code


def unsigned(token: str) -> tuple[Mapping[str, Any], Mapping[str, Any]]:
    """Header and claims."""
    found = jwt.decode_complete(token, options={"verify_signature": False})
    return found["header"], found["payload"]


def test_without_a_key_the_token_is_that_of_the_package_and_a_warning_says_so() -> None:
    with pytest.warns(LegacyModelTokenWarning, match="no secret"):
        assert create_serve_multiplexed_model_id(123, "tok", URL, "my-tenant") == LEGACY
    with pytest.warns(LegacyModelTokenWarning):
        assert unsigned(create_serve_multiplexed_model_id(1, "tok", f"{URL}/"))[1] == {
            "model": "1",
            "token": "tok",
        }
    with pytest.warns(LegacyModelTokenWarning), pytest.raises(jwt.InvalidKeyError, match="must not be empty"):
        create_serve_multiplexed_model_id(1, "tok", "")


def test_where_the_key_comes_from(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def signer() -> str:
        return str(unsigned(create_serve_multiplexed_model_id(1, "tok", URL))[0]["kid"])

    monkeypatch.setenv(KEY_ENV, OTHER.decode())
    assert signer() == OTHER_ID
    file = tmp_path / "key"
    file.write_bytes(KEY + b"\n")
    monkeypatch.setenv(KEY_FILE_ENV, str(file))
    assert signer() == KEY_ID, "a file wins, its line end is no part of the key"
    with_own = create_serve_multiplexed_model_id(1, "tok", URL, signing_key="x" * 32)
    assert unsigned(with_own)[0]["kid"] == "c62e4615bd39e222"
    file.unlink()
    with pytest.raises(ValueError, match=f"{KEY_FILE_ENV}: the file cannot be read: No such file"):
        signer()


@pytest.mark.parametrize(
    ("given", "why"),
    [
        pytest.param({"signing_key": "k" * 31}, "32 bytes or more", id="short key"),
        pytest.param({"signing_key": b""}, "32 bytes or more", id="empty key"),
        pytest.param({"signing_key": KEY, "ttl_seconds": 0}, "ttl_seconds", id="no time"),
        pytest.param({"signing_key": KEY, "ttl_seconds": math.nan}, "ttl_seconds", id="not a number"),
        pytest.param({"signing_key": KEY, "ttl_seconds": math.inf}, "ttl_seconds", id="for ever"),
    ],
)
def test_a_token_that_would_be_no_good_is_not_made(given: dict[str, Any], why: str) -> None:
    with pytest.raises(ValueError, match=why):
        create_serve_multiplexed_model_id(1, "tok", URL, **given)


def test_a_token_says_whose_and_until_when(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(f"{model_token.__name__}.time.time", lambda: NOW)
    first = create_serve_multiplexed_model_id(1, "tok", URL, "t", signing_key=KEY, audience="a")
    monkeypatch.setattr(f"{model_token.__name__}.time.time", lambda: NOW + 200)
    assert create_serve_multiplexed_model_id(1, "tok", URL, "t", signing_key=KEY, audience="a") == first
    header, payload = unsigned(first)
    assert header == {"alg": "HS256", "typ": "JWT", "kid": KEY_ID}
    assert payload == {"model": "1", "token": "tok", "tenant": "t", "aud": "a", "exp": 1_800_003_900}


@settings(deadline=None)
@given(model=TEXTS, token=TEXTS, tenant=st.none() | TEXTS, ttl=st.floats(1, 1e6), now=st.floats(0, 4e9))
def test_what_was_signed_is_what_is_read(
    model: str, token: str, tenant: str | None, ttl: float, now: float
) -> None:
    claims = Claims(model, token, tenant)
    text = signed(claims, KEY, audience="raydock", ttl_s=ttl, now=now)
    if model in (".", ".."):
        assert refusal_code(text, now) == "ModelTokenMalformed"
        return
    assert verified(text, rules(), now) == claims
    ends = unsigned(text)[1]["exp"]
    assert ttl <= ends - now <= ttl + 301
    assert ends % 300 == 0
    assert verified(text, rules(), ends + 29) == claims
    assert refusal_code(text, ends + 30) == "ModelTokenExpired"


def refusal_code(text: str, now: float) -> str:
    with pytest.raises(ModelLoadError) as raised:
        verified(text, rules(), now)
    return raised.value.code


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=5,
)
PAYLOADS = st.fixed_dictionaries({}, optional=dict.fromkeys(("model", "token", "tenant", "aud", "exp"), JSON))


@settings(deadline=None)
@given(payload=PAYLOADS | JSON, legacy=st.booleans())
def test_whatever_is_signed_is_read_or_refused(payload: Any, legacy: bool) -> None:
    """`exp` may be Infinity or NaN in JSON as Python reads it: such a token would never end."""
    try:
        found = verified(made(payload), rules(legacy=legacy), NOW)
    except ModelLoadError:
        return
    assert (found.model, found.token) == (payload["model"], payload["token"])
    if "exp" in payload or not legacy:
        assert NOW - 30 < payload["exp"] < math.inf


@settings(deadline=None)
@given(text=st.text())
def test_what_is_no_token_is_refused(text: str) -> None:
    assert refusal(text, rules(legacy=True)) == (401, "ModelTokenInvalid")


@settings(deadline=None)
@given(at=st.integers(0), to=st.sampled_from("ABCab01_-."))
def test_a_token_that_was_changed_is_refused(at: int, to: str) -> None:
    text = signed(CLAIMS, KEY, audience="raydock", ttl_s=60, now=NOW)
    at %= len(text) - 1  # the last character has bits that say nothing
    changed = text[:at] + to + text[at + 1 :]
    if changed != text:
        assert refusal(changed, rules()) == (401, "ModelTokenInvalid")


GOOD = {**CLAIMS.payload(), "aud": "raydock", "exp": NOW + 60}


def without(*names: str) -> dict[str, Any]:
    return {name: value for name, value in GOOD.items() if name not in names}


@pytest.mark.parametrize(
    ("token", "by", "want"),
    [
        pytest.param(made(GOOD), rules(), None, id="good"),
        pytest.param(made({**GOOD, "aud": ["x", "raydock"]}), rules(), None, id="one of several audiences"),
        pytest.param(made(GOOD, OTHER), rules(KEY, OTHER), None, id="signed with the key before"),
        pytest.param(made(GOOD, OTHER), rules(), "ModelTokenInvalid", id="another key"),
        pytest.param(made(GOOD), Rules(()), "ModelTokenInvalid", id="no key here"),
        pytest.param(made(GOOD, alg="none"), rules(), "ModelTokenInvalid", id="unsigned"),
        pytest.param(made(GOOD, alg="HS512"), rules(), "ModelTokenInvalid", id="another algorithm"),
        pytest.param(made(GOOD, alg=["HS256"]), rules(), "ModelTokenInvalid", id="an algorithm that is none"),
        pytest.param(made(GOOD, crit=["exp"]), rules(), "ModelTokenInvalid", id="a header not understood"),
        pytest.param(made(GOOD), rules(audience="b"), "ModelTokenInvalid", id="another audience"),
        pytest.param(made({**GOOD, "aud": None}), rules(), "ModelTokenInvalid", id="no audience at all"),
        pytest.param(made(without("aud")), rules(), "ModelTokenInvalid", id="audience left out"),
        pytest.param(made(without("exp")), rules(), "ModelTokenInvalid", id="end left out"),
        pytest.param(made({**GOOD, "exp": NOW - 30}), rules(), "ModelTokenExpired", id="ended"),
        pytest.param(made({**GOOD, "exp": NOW - 29}), rules(), None, id="ended by another clock"),
        pytest.param(made({**GOOD, "exp": "soon"}), rules(), "ModelTokenMalformed", id="end is text"),
        pytest.param(made({**GOOD, "exp": True}), rules(), "ModelTokenMalformed", id="end is a word"),
        pytest.param(made({**GOOD, "exp": math.inf}), rules(), "ModelTokenMalformed", id="no end ever"),
        pytest.param(made({**GOOD, "exp": math.nan}), rules(), "ModelTokenMalformed", id="no number"),
        pytest.param(made({**GOOD, "exp": 10**400}), rules(), None, id="an end beyond all floats"),
        pytest.param(made(without("model")), rules(), "ModelTokenMalformed", id="no model"),
        pytest.param(made({**GOOD, "model": 123}), rules(), "ModelTokenMalformed", id="model is a number"),
        pytest.param(made({**GOOD, "model": ".."}), rules(), "ModelTokenMalformed", id="model leads out"),
        pytest.param(made({**GOOD, "model": "\ud800"}), rules(), "ModelTokenMalformed", id="half a letter"),
        pytest.param(made({**GOOD, "token": ""}), rules(), "ModelTokenMalformed", id="empty credential"),
        pytest.param(made({**GOOD, "tenant": 1}), rules(), "ModelTokenMalformed", id="tenant is a number"),
        pytest.param(made([]), rules(), "ModelTokenMalformed", id="no claims"),
        pytest.param(made(without("aud", "exp")), rules(), "ModelTokenInvalid", id="legacy, signed, refused"),
        pytest.param(made(without("aud", "exp")), rules(legacy=True), None, id="legacy, signed, accepted"),
        pytest.param(made(without("exp")), rules(legacy=True), "ModelTokenInvalid", id="half legacy"),
        pytest.param(LEGACY, rules(), "ModelTokenInvalid", id="by URL, refused"),
        pytest.param(LEGACY, rules(legacy=True), None, id="by URL, accepted"),
        pytest.param(
            made(GOOD, URL.encode()), rules(legacy=True), "ModelTokenInvalid", id="by URL, no legacy"
        ),
        pytest.param(made({}, b""), Rules((), legacy=True), "ModelTokenInvalid", id="no URL is no key"),
    ],
)
def test_which_tokens_are_taken(token: str, by: Rules, want: str | None) -> None:
    if want is None:
        assert verified(token, by, NOW).model == "123"
    else:
        assert refusal(token, by) == (400 if want == "ModelTokenMalformed" else 401, want)


def test_a_key_is_rotated_while_the_replica_runs(tmp_path: Path) -> None:
    file, before = tmp_path / "key", tmp_path / "key.previous"
    file.write_bytes(KEY)
    keys = TokenKeys({KEY_FILE_ENV: str(file)})
    assert keys.at(0) == (KEY,)
    before.write_bytes(KEY + b"\r\n")
    file.write_bytes(OTHER)
    assert keys.at(LOOK_EVERY_S - 0.1) == (KEY,), "not looked at so often"
    assert keys.at(LOOK_EVERY_S) == (OTHER, KEY)
    before.unlink()
    assert keys.at(2 * LOOK_EVERY_S) == (OTHER,)
    file.write_bytes(b"short")
    assert keys.at(3 * LOOK_EVERY_S) == ()
    file.unlink()
    assert keys.at(4 * LOOK_EVERY_S) == ()


@pytest.mark.parametrize(
    ("environment", "want"),
    [
        pytest.param({}, (), id="nothing"),
        pytest.param({KEY_ENV: KEY.decode()}, (KEY,), id="the key itself"),
        pytest.param({KEY_ENV: "short"}, (), id="too short a key"),
        pytest.param({KEY_ENV: KEY.decode(), KEY_FILE_ENV: "/nowhere"}, (), id="a file that is missing"),
    ],
)
def test_a_replica_without_a_good_key_takes_none(
    environment: dict[str, str], want: tuple[bytes, ...]
) -> None:
    assert TokenKeys(environment).at(0) == want


def test_neither_rules_nor_claims_show_what_is_secret() -> None:
    assert CLAIMS.token not in repr(CLAIMS)
    assert "kkkk" not in repr(rules())
    assert URL not in repr(rules())


def test_a_signed_token_warns_of_nothing() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        create_serve_multiplexed_model_id(1, "tok", URL, signing_key=KEY)
