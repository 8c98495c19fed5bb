"""Object stores that are not as they should be; tests/integration/test_batch_stores.py has a good one."""

from collections.abc import Callable
from typing import Any

import obstore
import pytest
from obstore.exceptions import GenericError, NotSupportedError
from obstore.store import MemoryStore

from raydock.batch import object_storage
from raydock.batch.ledger import Ledger
from raydock.batch.object_storage import ObjectStorage
from raydock.batch.outputs import refusing, storage_at
from raydock.batch.storage import drafts_dir
from raydock.errors import Retry, Terminal, Unfinished
from raydock.reasons import Reason
from raydock.remote import stores
from raydock.wire.ledger import JobName

JOB = JobName("demo", "score", "3f2a9c01")
put = obstore.put


@pytest.fixture
def storage(monkeypatch: pytest.MonkeyPatch) -> ObjectStorage:
    memory = MemoryStore()
    monkeypatch.setattr(stores, "from_url", lambda *_, **__: memory)
    return ObjectStorage("s3://bucket/out", drafts_dir(JOB.uid), {})


def careless(store: Any, path: str, content: bytes, mode: Any = None, **_: Any) -> Any:
    """Takes every condition for met."""
    return put(store, path, content)


def half_careless(store: Any, path: str, content: bytes, mode: Any = None, **_: Any) -> Any:
    """Knows If-None-Match, and takes each If-Match for met."""
    return put(store, path, content, mode=mode if mode == "create" else None)


def unable(*_: Any, **__: Any) -> Any:
    raise NotSupportedError("http://internal:9000/bucket: no such thing")


def unable_too(*_: Any, **__: Any) -> Any:
    raise GenericError(
        "http://internal:9000/bucket: Server returned non-2xx status code: 501 Not Implemented: A"
    )


@pytest.mark.parametrize(
    ("broken", "told"),
    [
        pytest.param(careless, "lets a second writer replace", id="no condition counts"),
        pytest.param(half_careless, "lets a second writer replace", id="If-Match does not count"),
        pytest.param(unable, "does not know the call", id="not supported"),
        pytest.param(unable_too, "does not know the call", id="not implemented"),
    ],
)
def test_a_store_without_conditional_writes_is_refused_with_what_to_use(
    storage: ObjectStorage, broken: Callable[..., Any], told: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    if broken in (careless, half_careless):
        monkeypatch.setattr(storage, "read_version", _unmarked(storage))
    monkeypatch.setattr(obstore, "put", broken)
    with pytest.raises(Terminal, match=told) as refused:
        Ledger(storage, JOB).open()
    assert refused.value.reason is Reason.OUTPUT_UNSUITABLE
    assert "it needs a store with conditional writes" in refused.value.message
    assert "internal" not in refused.value.message


def _unmarked(storage: ObjectStorage) -> Callable[[str], tuple[bytes, str] | None]:
    """read_version of a store that has ETags, as the memory's are numbers."""
    found = storage.read_version

    def read(path: str) -> tuple[bytes, str] | None:
        seen = found(path)
        return None if seen is None else (seen[0], f"{seen[1].split(' ')[0]} ")

    return read


@pytest.mark.parametrize(
    ("error", "kind", "told"),
    [
        pytest.param(GenericError("http://internal:9000"), Retry, r"failed \(GenericError\)", id="for now"),
        pytest.param(
            obstore.exceptions.PermissionDeniedError("http://internal:9000 key AKIA"),
            Terminal,
            "refused the credentials: correct output.uri or the Secret",
            id="for good",
        ),
    ],
)
def test_trouble_is_told_without_addresses(
    storage: ObjectStorage,
    error: Exception,
    kind: type[Unfinished],
    told: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def fails(*_: Any, **__: Any) -> Any:
        raise error

    monkeypatch.setattr(obstore, "get", fails)
    with pytest.raises(kind, match=told) as failed, refusing():
        storage.read("x")
    assert "internal" not in str(failed.value)


def test_other_errors_stay_what_they_are() -> None:
    with pytest.raises(PermissionError, match="mine"), refusing():
        raise PermissionError(13, "mine")


def test_a_file_above_what_a_store_copies_goes_through_here(
    storage: ObjectStorage, monkeypatch: pytest.MonkeyPatch
) -> None:
    def never(*_: Any) -> None:
        raise AssertionError("too large")

    monkeypatch.setattr(object_storage, "COPY_MOST", 3)
    monkeypatch.setattr(obstore, "copy", never)
    storage.create("a", b"four")
    storage.promote([("a", "b")])
    assert storage.read("b") == b"four"


@pytest.mark.parametrize(
    ("uri", "told"),
    [
        pytest.param("https://host/x", "write pvc://CLAIM/PATH, s3://, gs:// or az://", id="no store"),
        pytest.param("pvc://data/../x", "must not contain ..", id="a path that climbs"),
    ],
)
def test_an_output_of_another_kind_is_refused(uri: str, told: str) -> None:
    with pytest.raises(Terminal, match=told) as refused:
        storage_at(uri, "drafts")
    assert refused.value.reason is Reason.INVALID_SPEC


@pytest.mark.parametrize("another_was_first", [True, False])
def test_who_deletes_second_is_not_in_trouble(
    storage: ObjectStorage, monkeypatch: pytest.MonkeyPatch, another_was_first: bool
) -> None:
    delete = obstore.delete

    def told(store: Any, path: str) -> Any:
        if another_was_first:
            delete(store, path)
        raise GenericError(
            "DeleteObjects request failed: The specified key does not exist. (code: NoSuchKey)"
        )

    assert storage.create("x", b"content")
    monkeypatch.setattr(obstore, "delete", told)
    if another_was_first:
        storage.remove("x")
    else:
        with pytest.raises(Retry), refusing():
            storage.remove("x")
    assert storage.read("x") == (None if another_was_first else b"content")
