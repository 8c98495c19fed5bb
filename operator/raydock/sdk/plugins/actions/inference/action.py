"""The base of actions that run a model on inputs."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar, Final

from pydantic import BaseModel
from typing_extensions import override

from raydock.sdk.plugins.action import BaseAction, P
from raydock.sdk.plugins.actions.inference.categories import InferenceProgressCategories
from raydock.sdk.plugins.actions.inference.context import InferenceContext
from raydock.sdk.plugins.actions.inference.model_files import ModelPath, download
from raydock.sdk.plugins.context import RuntimeContext
from raydock.sdk.plugins.enums import PluginCategory

TENANT_ENV: Final = "SYNAPSE_PLUGIN_RUN_TENANT"


class BaseInferenceAction(BaseAction[P]):
    """Loads a model and infers: in `execute`, or in steps that share an InferenceContext."""

    category: ClassVar[PluginCategory | None] = PluginCategory.NEURAL_NET
    progress: ClassVar[InferenceProgressCategories] = InferenceProgressCategories()
    progress_plan: ClassVar[Mapping[str, int]] = {
        InferenceProgressCategories.MODEL_LOAD: 10,
        InferenceProgressCategories.INFERENCE: 80,
        InferenceProgressCategories.POSTPROCESS: 10,
    }

    def __init__(self, params: P, ctx: RuntimeContext) -> None:
        super().__init__(params, ctx)
        self._known: dict[Any, dict[str, Any]] = {}
        """Metadata that load_model has read for download_model."""

    @property
    def client(self) -> Any:
        """`ctx.client`. Raises RuntimeError where there is none."""
        if self.ctx.client is None:
            raise RuntimeError(
                "No client in context. Either provide a client via RuntimeContext or override the helper "
                "methods (load_model, get_model)."
            )
        return self.ctx.client

    def get_model(self, model_id: int) -> dict[str, Any]:
        """Metadata of a model; `file` is a URL. Raises the ClientErrors of raydock.sdk.exceptions."""
        model: dict[str, Any] = self.client.get_model(model_id)
        return model

    def download_model(self, model_id: int, output_dir: str | Path | None = None) -> Path:
        """The directory with the extracted files of a model: `output_dir`, or a new temporary one.

        Raises ValueError for a model without file, ModelLoadError for files that cannot be had.
        """
        model = self._known.get(model_id) or self.get_model(model_id)
        url = model.get("file")
        if not url:
            raise ValueError(f"Model {model_id} has no file URL")
        version = model.get("version")
        return download(
            str(url),
            tenant=self.ctx.env.get_str(TENANT_ENV),
            version=None if version is None else str(version),
            output_dir=None if output_dir is None else Path(output_dir),
            headers={},  # a file's URL carries its own right; tokens of ours are no business of a store's
        )

    def load_model(self, model_id: int) -> dict[str, Any]:
        """Metadata of a model, and `path`: the directory with its files, a text that also takes `/`."""
        model = self.get_model(model_id)
        self._known[model_id] = model
        try:
            path = self.download_model(model_id)
        finally:
            del self._known[model_id]
        return {**model, "path": ModelPath(path)}

    def infer(self, model: Any, inputs: list[dict[str, Any]]) -> list[dict[str, Any]]:
        """A result for each of `inputs`."""
        del model, inputs  # for those that override it
        raise NotImplementedError(
            "Override infer() to implement inference logic. Example: return model.predict(inputs)"
        )

    @override
    def create_context(self) -> InferenceContext:
        params = _dumped(self.params)
        model_id = params.get("model_id")
        return InferenceContext(
            runtime_ctx=self.ctx,
            params=params,
            model_id=params.get("model") if model_id is None else model_id,
        )

    @override
    def result_of_steps(self, context: Any) -> dict[str, Any]:
        if not isinstance(context, InferenceContext):
            return {}
        results = {"results": context.results} if context.results else {}
        return {"processed_count": context.processed_count, **results}


def _dumped(params: Any) -> dict[str, Any]:
    return params.model_dump() if isinstance(params, BaseModel) else dict(params or {})
