"""Plugins in the forms that the reference guide shows, with a small model in place of a PyTorch one.

`SDK` stands for the package's name, and is the only thing that differs between its two names.
"""

from collections.abc import Mapping
from typing import Final

TENSORS: Final = '''
"""As much of a tensor library as the plugins below need: a model is a row of weights."""

import contextlib, json


class Tensor(list):
    def tolist(self):
        return list(self)


def tensor(values):
    return Tensor(values)


def stack(rows):
    return Tensor(rows)


class Model:
    def __init__(self, weights):
        self.weights, self.ready = weights, False

    def eval(self):
        self.ready = True

    def __call__(self, values):
        if values and isinstance(values[0], list):
            return Tensor(self(row) for row in values)
        return Tensor([sum(w * value for w, value in zip(self.weights, values, strict=True))])


def load(path):
    with open(path) as file:
        return Model(json.load(file))


no_grad = contextlib.nullcontext
'''
SIMPLE: Final = """
from typing import Any

import tensors
from pydantic import BaseModel
from SDK.plugins.actions.inference import BaseInferenceAction


class Params(BaseModel):
    model_id: int
    inputs: list[dict[str, Any]]


class Simple(BaseInferenceAction[Params]):
    action_name = "inference"

    def execute(self) -> dict[str, Any]:
        info = self.load_model(self.params.model_id)
        self.set_progress(1, 3, self.progress.MODEL_LOAD)
        found = self.infer(info, self.params.inputs)
        self.set_progress(2, 3, self.progress.INFERENCE)
        found = [{**one, "rounded": [round(value) for value in one["prediction"]]} for one in found]
        self.set_progress(3, 3, self.progress.POSTPROCESS)
        return {"results": found}

    def infer(self, model, inputs):
        loaded = tensors.load(model["path"] + "/model.pt")
        return [{"prediction": loaded(one["tensor"]).tolist()} for one in inputs]
"""
STEPS: Final = """
from typing import Any

import tensors
from pydantic import BaseModel
from SDK.plugins.actions.inference import BaseInferenceAction, InferenceContext
from SDK.plugins.steps import BaseStep, StepRegistry, StepResult


class Params(BaseModel):
    model_id: int
    inputs: list[dict[str, Any]]


class LoadModel(BaseStep[InferenceContext]):
    @property
    def name(self) -> str:
        return "load_model"

    @property
    def progress_weight(self) -> float:
        return 0.3

    def execute(self, context: InferenceContext) -> StepResult:
        context.model = tensors.load(f"{context.model_path}/model.pt")
        return StepResult(success=True)


class Infer(BaseStep[InferenceContext]):
    @property
    def name(self) -> str:
        return "inference"

    @property
    def progress_weight(self) -> float:
        return 0.7

    def execute(self, context: InferenceContext) -> StepResult:
        for request in context.requests:
            context.results.append({"prediction": context.model(request["input"])})
            context.processed_count += 1
        return StepResult(success=True)


class InSteps(BaseInferenceAction[Params]):
    action_name = "inference"

    def create_context(self) -> InferenceContext:
        context = super().create_context()
        context.model_path = str(self.download_model(context.model_id))
        context.requests = self.params.inputs
        return context

    def setup_steps(self, registry: StepRegistry[InferenceContext]) -> None:
        registry.register(LoadModel())
        registry.register(Infer())
"""
BATCHES: Final = """
from pathlib import Path
from typing import Any

import tensors
from pydantic import BaseModel

from SDK.plugins.actions.inference import BaseInferenceAction


class Params(BaseModel):
    model_id: int
    inputs: list[dict[str, Any]]
    batch_size: int = 32


class InBatches(BaseInferenceAction[Params]):
    action_name = "batch_inference"

    def execute(self) -> dict[str, Any]:
        info = self.load_model(self.params.model_id)
        model = tensors.load(Path(info["path"]) / "model.pt")
        model.eval()
        self.set_progress(1, 3, self.progress.MODEL_LOAD)

        results = []
        for start in range(0, len(self.params.inputs), self.params.batch_size):
            batch = self.params.inputs[start : start + self.params.batch_size]
            stacked = tensors.stack([tensors.tensor(one["data"]) for one in batch])
            with tensors.no_grad():
                results += [{"prediction": one.tolist()} for one in model(stacked)]
        self.set_progress(2, 3, self.progress.INFERENCE)

        self.set_progress(3, 3, self.progress.POSTPROCESS)
        return {"results": results, "processed_count": len(results)}

    def infer(self, model, inputs):
        pass
"""
MODULES: Final[Mapping[str, str]] = {
    "tensors": TENSORS,
    "guide_simple": SIMPLE,
    "guide_steps": STEPS,
    "guide_batches": BATCHES,
}
"""Name of the module → its text."""
