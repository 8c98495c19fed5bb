"""The models of one replica: from a request's token to the object that infers (contracts/actions.md 9)."""

import asyncio
import logging
import os
import threading
import time
import traceback
from collections.abc import Awaitable, Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Final, TypeVar

from raydock.models.held import Held
from raydock.models.uri import told
from raydock.sdk import downloads
from raydock.sdk.plugins.errors import ModelLoadError
from raydock.sdk.plugins.serving.counts import FAILED, LOADED, Counts, counts
from raydock.sdk.plugins.serving.failures import Failure, failed
from raydock.sdk.plugins.serving.model_cache import Key, MakeRoom, ModelCache
from raydock.sdk.plugins.serving.model_token import Claims, Rules, verified
from raydock.sdk.plugins.serving.rights import Metadata, Rights, ask_backend
from raydock.sdk.plugins.serving.scope import Scope
from raydock.sdk.plugins.serving.settings import Settings, settings
from raydock.sdk.plugins.serving.token_keys import TokenKeys
from raydock.sdk.utils.redaction import redact_excerpt
from raydock.wire.paths import MODEL_ID_ENV, MODEL_PATH_ENV, MODEL_VERSION_ENV

ASKING_MAX: Final = 16
"""Threads that ask the backend, beside one for each model that is being fetched."""
OWN: Final = Key("", "", "own")
"""The Deployment's own model; no token has an empty tenant."""

T = TypeVar("T")
Build = Callable[[dict[str, Any]], Awaitable[Any]]
Unload = Callable[[Any], Awaitable[None]]

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Loaded:
    """A model, and what it takes on disk."""

    model: Any
    forget: Callable[[], None] | None


class Models:
    """Verifies, fetches, builds and keeps. All calls come from one event loop."""

    def __init__(
        self,
        backend_url: str,
        build: Build,
        unload: Unload,
        *,
        environment: Mapping[str, str] = os.environ,  # noqa: TID251 - a replica has no settings.py
        root: Path | None = None,
        clock: Callable[[], float] = time.monotonic,
        counted: Counts | None = None,
    ) -> None:
        """`build`: from metadata and `path` to the model; `unload`: its end. `root`: None for the pod's.

        Raises ValueError for a setting that is none.
        """
        self._backend_url = backend_url
        self._build, self._unload = build, unload
        self._environment = environment
        self._root = root
        self._clock = clock
        self._settings: Settings = settings(environment)
        self._keys = TokenKeys(environment)
        self._counts = counted or counts()
        most = self._settings.models_per_replica
        self._threads = ThreadPoolExecutor(most + ASKING_MAX, thread_name_prefix="raydock-models")
        self._closed = False
        self._held: Held | None = None
        self._making_held = threading.Lock()
        self._rights = Rights(self._ask, clock)
        self._cache: ModelCache[Loaded] = ModelCache(most, self._take_away, self._counts.eviction)

    async def of(self, scope: Scope) -> Any:
        """The model of a request; it stays until `scope` ends. Raises ModelLoadError."""
        if scope.token is None:
            if not self._own_path:
                raise _token_missing()
            use = await self._cache.use(OWN, self._load_own)
        else:
            claims = self.verify(scope)
            found = await self._rights.metadata(claims)
            key = Key(claims.tenant, claims.model, _version(found))
            use = await self._cache.use(key, partial(self._load, claims, found))
        scope.at_end(use.end)
        return use.model.model

    async def admit(self, scope: Scope) -> tuple[str | None, str] | None:
        """Tenant and id of the model that it may use; None: the Deployment's own. Raises ModelLoadError."""
        if scope.token is None:
            return None
        claims = self.verify(scope)
        await self._rights.metadata(claims)
        return claims.tenant, claims.model

    def verify(self, scope: Scope) -> Claims:
        """What the model token of a request says. Raises ModelLoadError without a good one."""
        if scope.claims is None:
            if scope.token is None:
                raise _token_missing()
            rules = Rules(
                self._keys.at(self._clock()),
                self._settings.audience,
                self._settings.legacy_tokens,
                self._backend_url,
            )
            scope.claims = verified(scope.token, rules, time.time())
        return scope.claims

    async def close(self) -> None:
        """Take all models away; no request comes any more. May be repeated."""
        if self._closed:
            return
        self._closed = True
        await self._cache.close()
        if self._held is not None:
            await self._in_thread(self._held.close)
        self._threads.shutdown(wait=False)

    @property
    def _own_path(self) -> str:
        """Where the Deployment's own model lies; empty: it has none."""
        return self._environment.get(MODEL_PATH_ENV, "")

    @property
    def _models_dir(self) -> Path:
        return self._root or downloads.models_dir()

    async def _ask(self, claims: Claims) -> Metadata:
        return await self._in_thread(ask_backend, self._backend_url, claims)

    async def _load_own(self, make_room: MakeRoom) -> Loaded:
        """The model of the Deployment, which was there before this replica started."""
        path = Path(self._own_path)
        is_directory = await self._in_thread(path.is_dir)
        info = {
            "id": self._environment.get(MODEL_ID_ENV),
            "name": path.name,
            "version": self._environment.get(MODEL_VERSION_ENV),
            "file": str(path),
            "path": path if is_directory else path.parent,
        }
        await make_room()
        return Loaded(await self._built(info, None, ()), None)

    async def _load(self, claims: Claims, found: Metadata, make_room: MakeRoom) -> Loaded:
        url = found.get("file")
        if not isinstance(url, str) or not url:
            self._counts.load(FAILED)
            raise Failure.FILE_MISSING.error("the backend knows no file of it", claims.model)
        try:
            files = await self._in_thread(self._fetch, claims, found, url)
        except ModelLoadError as error:
            self._counts.load(FAILED)
            refusal = failed(error.message, claims.model, error.status_code, error.code)
        else:
            return await self._with_files(files, claims, found, make_room)
        raise refusal

    async def _with_files(
        self, files: downloads.Fetched, claims: Claims, found: Metadata, make_room: MakeRoom
    ) -> Loaded:
        try:
            await make_room()
            secrets = (claims.token, str(found.get("file")))
            model = await self._built({**found, "path": files.path}, claims.model, secrets)
        except BaseException:
            await self._in_thread(files.forget)
            raise
        return Loaded(model, files.forget)

    def _fetch(self, claims: Claims, found: Metadata, url: str) -> downloads.Fetched:
        """Blocks. Raises ModelLoadError."""
        try:
            directory = self._directory()
        except OSError as error:
            why = error.strerror or type(error).__name__
            raise Failure.STORE_UNAVAILABLE.error(f"no files can be kept here: {why}") from None
        return downloads.fetched(
            url,
            tenant=claims.tenant,
            version=_told_version(found),
            output_dir=directory,
            headers={},  # a file's URL carries its own right
            cache_dir=self._models_dir,
            sha256=_sha256(found),
        )

    def _directory(self) -> Path:
        """For the files of one model. Raises OSError."""
        with self._making_held:
            self._held = self._held or Held(self._models_dir)
        return self._held.new()

    async def _built(self, info: dict[str, Any], model_id: str | None, secrets: tuple[str, ...]) -> Any:
        try:
            model = await self._build(info)
        except Exception as error:  # noqa: BLE001 - whatever it is, its text may hold anything
            self._counts.load(FAILED)
            log.error(  # noqa: TRY400 - the traceback is redacted
                "model %r could not be built:\n%s", model_id, redact_excerpt(traceback.format_exc(), secrets)
            )
            why = f"_get_model raised {type(error).__name__}; the replica's log has the traceback"
        else:
            self._counts.load(LOADED)
            return model
        raise Failure.LOAD_FAILED.error(why, model_id)

    async def _take_away(self, loaded: Loaded) -> None:
        try:
            await self._unload(loaded.model)
        except Exception:  # noqa: BLE001 - the next model must come nevertheless
            log.error("_unload_model failed:\n%s", redact_excerpt(traceback.format_exc()))  # noqa: TRY400 - as above
        if loaded.forget is not None:
            await self._in_thread(loaded.forget)

    async def _in_thread(self, call: Callable[..., T], *args: Any) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._threads, partial(call, *args))


def _token_missing() -> ModelLoadError:
    said = "send a model token in the header raydock-model-token, or serve_multiplexed_model_id"
    return Failure.TOKEN_MISSING.error(said)


def _version(found: Metadata) -> str:
    """Of the artifact: where nobody says one, its place, less the query, which is only who may read it."""
    return _told_version(found) or _sha256(found) or told(str(found.get("file")))


def _told_version(found: Metadata) -> str | None:
    version = found.get("version")
    return None if version is None else str(version)


def _sha256(found: Metadata) -> str | None:
    text = str(found.get("sha256") or "").lower()
    return text if len(text) == 64 and all(letter in "0123456789abcdef" for letter in text) else None
