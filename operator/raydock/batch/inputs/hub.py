"""`hf://datasets/OWNER/NAME[@REVISION]/PATH`: files of the Hugging Face Hub, as one commit has them.

A listing names the commit that the revision was, so all attempts read the same content, whatever is pushed
meanwhile. `hf://OWNER/NAME/PATH` is a model repository.
"""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

import httpx2
import pyarrow as pa
from huggingface_hub import HfApi, HfFileSystem
from huggingface_hub.errors import GatedRepoError, HfHubHTTPError, HFValidationError, RepositoryNotFoundError
from typing_extensions import override

from raydock.batch.inputs import flat
from raydock.batch.inputs.parts import Parts
from raydock.batch.inputs.place import Listing, Stat, Unavailable, Unreadable
from raydock.batch.inputs.places import HUB

KINDS: Final = frozenset({"datasets", "spaces"})
"""First parts of a path that are no owner; without one it is a model's repository."""
SHAPE: Final = "want hf://datasets/OWNER/NAME/PATH, or hf://OWNER/NAME/PATH for a model's files"
_COMMIT: Final = re.compile(r"[0-9a-f]{40}")
_AGAIN: Final = frozenset({408, 429, 500, 502, 503, 504})


class Hub(flat.Flat):
    """The Hub that HF_ENDPOINT names, else the public one; HF_TOKEN opens what is not public."""

    inside = "repository"

    def __init__(self, endpoint: str | None, token: str | None) -> None:
        self._files: Any = HfFileSystem(endpoint=endpoint, token=token or False)
        self._api = HfApi(endpoint=endpoint, token=token or False)

    @override
    def find(self, uri: str, *, recursive: bool) -> Listing:
        _repository(uri)
        try:
            return self._find(uri, recursive=recursive)
        except FileNotFoundError:
            raise Unreadable("the repository has no such revision") from None

    def _find(self, uri: str, *, recursive: bool) -> Listing:
        with _telling():
            glob = re.search(r"[*?\[]", uri)
            fixed = uri[: glob.start()].rpartition("/")[0] if glob else uri
            at = self._files.resolve_path(fixed)
            root = f"{_repository(uri).partition('@')[0]}@{self._commit(at)}"
            inside = f"{at.path}{uri[len(fixed) :]}".lstrip("/")
            if not glob and uri.endswith("/") and inside:
                inside = inside.rstrip("/") + "/"
            return flat.find(
                root,
                inside,
                lambda folder: self._below(f"{root}/{folder}".rstrip("/")),
                lambda file: bool(self._files.isfile(f"{root}/{file}")),
                recursive=recursive,
            )

    @override
    def stat(self, uri: str) -> Stat:
        with _telling():
            found = self._files.info(uri)
            if found["type"] != "file":
                raise FileNotFoundError
            commit = self._commit(self._files.resolve_path(uri))
        return Stat(found["size"], commit)

    @override
    def open(self, uri: str) -> pa.NativeFile:
        return _File(self._files, uri, self.stat(uri).size).opened()

    @override
    def read(self, uri: str, most: int) -> bytes:
        size = self.stat(uri).size
        if size > most:
            raise Unreadable(f"it has more than {most >> 20} MiB: write convertTo: Path and open it yourself")
        return _File(self._files, uri, size).part(0, size)

    @override
    def root(self, uri: str) -> str:
        return _repository(uri)

    def _commit(self, at: Any) -> str:
        """That of a resolved path."""
        if _COMMIT.fullmatch(at.revision):
            return str(at.revision)
        found = self._api.repo_info(at.repo_id, repo_type=at.repo_type, revision=at.revision)
        return str(found.sha)

    def _below(self, folder: str) -> Iterator[str]:
        start = len(folder.removeprefix(f"{HUB}://")) + 1
        yield from (name[start:] for name in self._files.find(folder))


class _File(Parts):
    """A file of one commit."""

    def __init__(self, files: Any, uri: str, size: int) -> None:
        super().__init__(size)
        self._files, self._uri = files, uri

    @override
    def part(self, at: int, length: int) -> bytes:
        if not length:
            return b""
        with _telling():
            content = bytes(self._files.cat_file(self._uri, start=at, end=at + length))
        if len(content) != length:
            raise Unavailable("the Hub sent less than was asked for")
        return content


def _repository(uri: str) -> str:
    """The part of `uri` before the path in the repository. Raises Unreadable."""
    parts = uri.removeprefix(f"{HUB}://").split("/")
    size = 3 if parts[0] in KINDS else 2
    if len(parts) < size or not all(parts[:size]):
        raise Unreadable(SHAPE)
    return f"{HUB}://{'/'.join(parts[:size])}"


@contextmanager
def _telling() -> Iterator[None]:
    """What goes wrong, as a place says it, without an address or a token."""
    try:
        yield
    except (Unreadable, Unavailable):
        raise
    except GatedRepoError:
        raise Unreadable(
            "its repository is gated: accept its terms, and put HF_TOKEN into credentialsSecret"
        ) from None
    except FileNotFoundError as error:
        if isinstance(error.__cause__, RepositoryNotFoundError):
            raise Unreadable(
                "the Hub has no such repository, or it is private: then put HF_TOKEN into credentialsSecret"
            ) from None
        raise FileNotFoundError("the repository has no such file") from None
    except HfHubHTTPError as error:
        status = error.response.status_code
        raise (Unavailable if status in _AGAIN else Unreadable)(f"the Hub answered {status}") from None
    except httpx2.HTTPError as error:
        raise Unavailable(f"the Hub does not answer ({type(error).__name__})") from None
    except (HFValidationError, ValueError, NotImplementedError):
        raise Unreadable(SHAPE) from None
