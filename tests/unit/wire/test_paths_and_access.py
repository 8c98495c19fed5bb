"""Where a claim lies in a pod, and the hashes that stand for keys."""

import pytest

from raydock.wire.access import digest, key_hash
from raydock.wire.paths import claim_of, claim_path


@pytest.mark.parametrize(
    ("uri", "claim", "path"),
    [
        pytest.param("pvc://models/iris/v1", "models", "/mnt/raydock/models/iris/v1", id="below"),
        pytest.param("pvc://models/", "models", "/mnt/raydock/models", id="its root"),
        pytest.param("pvc://models", "models", "/mnt/raydock/models", id="its root, without a slash"),
        pytest.param("pvc://m/a..b/", "m", "/mnt/raydock/m/a..b", id="dots in a name"),
    ],
)
def test_a_claim_and_its_path(uri: str, claim: str, path: str) -> None:
    assert claim_of(uri) == claim
    assert claim_path(uri) == path


@pytest.mark.parametrize(
    "uri",
    ["s3://b/x", "pvc://", "pvc:///x", "pvc://m/../x", "pvc://m/..", "pvc://../x", "pvc://..", "pvc://M/x"],
)
def test_what_leads_nowhere_is_refused(uri: str) -> None:
    with pytest.raises(ValueError, match="pvc"):
        claim_path(uri)


def test_hashes_are_stable_and_short_enough_for_an_annotation() -> None:
    assert key_hash("k") == "8254c329a92850f6d539dd376f4816ee2764517da5e0235514af433164480d7a"
    assert digest("x") == digest(b"x")
    assert len(digest("x")) == 16
