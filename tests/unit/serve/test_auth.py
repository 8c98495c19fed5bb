"""Who may call: the rules of api.md's paragraph "Keys"."""

import os
from pathlib import Path

import pytest

from raydock.serve.answer import Code, Refused
from raydock.serve.auth import LOOK_EVERY_S, AccessFile, Rules
from raydock.wire.access import Access, EndpointAccess, digest, key_hash
from raydock.wire.record import dumps

ACCESS = Access(
    {
        "iris": EndpointAccess("Key", True, (key_hash("iris-1"), key_hash("iris-2"))),
        "flowers": EndpointAccess("Key", True, (key_hash("flowers"),)),
        "open": EndpointAccess("None", True),
        "elsewhere": EndpointAccess("Key", False, (key_hash("elsewhere"),)),
        "open-elsewhere": EndpointAccess("None", False),
    }
)


def outcome(rules: Rules, endpoint: str | None, *keys: str) -> Code | bool:
    try:
        return rules.check(endpoint, [key.encode() for key in keys])
    except Refused as refused:
        return refused.code


@pytest.mark.parametrize(
    ("endpoint", "keys", "want"),
    [
        pytest.param("iris", ["iris-1"], True, id="primary"),
        pytest.param("iris", ["iris-2"], True, id="secondary"),
        pytest.param("iris", ["iris-1", "iris-1"], True, id="the same key twice"),
        pytest.param("iris", ["iris-1", "iris-2"], Code.UNAUTHORIZED, id="two keys that differ"),
        pytest.param("iris", [], Code.UNAUTHORIZED, id="no key"),
        pytest.param("iris", ["wrong"], Code.UNAUTHORIZED, id="unknown key"),
        pytest.param("iris", [key_hash("iris-1")], Code.UNAUTHORIZED, id="a hash is no key"),
        pytest.param("iris", ["flowers"], Code.FORBIDDEN, id="key of another endpoint that routes here"),
        pytest.param("iris", ["elsewhere"], Code.FORBIDDEN, id="key of an endpoint that routes elsewhere"),
        pytest.param("open", [], False, id="mode None, named by the route"),
        pytest.param("open", ["anything"], False, id="mode None leaves credentials alone"),
        pytest.param(
            "open-elsewhere", [], Code.UNAUTHORIZED, id="mode None of an endpoint that routes elsewhere"
        ),
        pytest.param("elsewhere", ["elsewhere"], Code.FORBIDDEN, id="an endpoint that does not route here"),
        pytest.param("unknown", ["iris-1"], Code.FORBIDDEN, id="an endpoint that is not known"),
        pytest.param(None, ["iris-1"], True, id="past the gateway, key of one that routes here"),
        pytest.param(None, ["flowers"], True, id="past the gateway, key of the other one"),
        pytest.param(None, ["elsewhere"], Code.FORBIDDEN, id="past the gateway, key from elsewhere"),
        pytest.param(None, [], Code.UNAUTHORIZED, id="past the gateway, mode None must be named"),
    ],
)
def test_a_key_opens_the_endpoint_it_belongs_to(
    endpoint: str | None, keys: list[str], want: Code | bool
) -> None:
    assert outcome(Rules(ACCESS), endpoint, *keys) == want


@pytest.mark.parametrize("endpoint", [None, "iris"])
@pytest.mark.parametrize("key", ["iris-1", ""])
def test_nobody_may_call_a_deployment_without_endpoints(endpoint: str | None, key: str) -> None:
    assert outcome(Rules(Access()), endpoint, *([key] if key else [])) == Code.UNAUTHORIZED


class TestAccessFile:
    def test_it_is_read_again_when_the_secret_is_swapped(self, tmp_path: Path) -> None:
        file = tmp_path / "access.json"
        file.symlink_to(_version(tmp_path, "1", "old"))
        access = AccessFile(file)
        assert outcome(access.look(0), "iris", "old") is True

        other = tmp_path / "next"
        other.symlink_to(_version(tmp_path, "2", "new"))
        other.replace(file)  # as the kubelet does

        assert outcome(access.look(LOOK_EVERY_S / 2), "iris", "old") is True
        assert outcome(access.look(LOOK_EVERY_S), "iris", "old") == Code.UNAUTHORIZED
        assert outcome(access.look(LOOK_EVERY_S), "iris", "new") is True
        assert access.digest == digest(file.read_bytes())

    @pytest.mark.parametrize(
        "broken",
        [
            pytest.param(None, id="gone"),
            pytest.param("", id="empty"),
            pytest.param("{", id="half written"),
            pytest.param("[]", id="another shape"),
            pytest.param('{"endpoints": {"iris": {"mode": "None"}}}', id="a field is missing"),
        ],
    )
    def test_nobody_may_call_while_it_cannot_be_read(self, tmp_path: Path, broken: str | None) -> None:
        file = _version(tmp_path, "1", "key")
        access = AccessFile(file)
        assert outcome(access.look(0), "iris", "key") is True

        file.unlink()
        if broken is not None:
            file.write_text(broken)

        assert outcome(access.look(1), "iris", "key") == Code.UNAUTHORIZED
        assert access.digest == ""

        os.utime(_version(tmp_path, "1", "key"))
        assert outcome(access.look(2), "iris", "key") is True


def _version(where: Path, name: str, key: str) -> Path:
    file = where / name
    file.write_text(dumps(Access({"iris": EndpointAccess("Key", True, (key_hash(key),))})))
    return file
