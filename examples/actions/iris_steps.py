"""The same inference in steps: each has its share of the progress, and is undone when a later one fails."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from iris_model import Flower, Questions, loaded, species
from typing_extensions import override

from raydock.sdk.plugins.actions.inference import BaseInferenceAction, InferenceContext
from raydock.sdk.plugins.steps import BaseStep, StepRegistry, StepResult

BATCH = 100
"""Flowers that the model is asked about at once."""


@dataclass
class IrisContext(InferenceContext):
    """What the steps share."""

    classifier: Any = None


class LoadModel(BaseStep[IrisContext]):
    """From its files into memory."""

    def __init__(self, action: "ScoreInSteps") -> None:
        self._action = action

    @property
    @override
    def name(self) -> str:
        return "load_model"

    @property
    @override
    def progress_weight(self) -> float:
        return 0.3

    @override
    def execute(self, context: IrisContext) -> StepResult:
        context.model = self._action.load_model(self._action.params.model_id)
        context.model_path = str(context.model["path"])
        context.classifier = loaded(Path(context.model_path))
        return StepResult()


class Infer(BaseStep[IrisContext]):
    """Asks the model, a batch after the other."""

    @property
    @override
    def name(self) -> str:
        return "inference"

    @property
    @override
    def progress_weight(self) -> float:
        return 0.6

    @override
    def can_skip(self, context: IrisContext) -> bool:
        return not context.requests

    @override
    def execute(self, context: IrisContext) -> StepResult:
        for start in range(0, len(context.requests), context.batch_size):
            batch = [
                Flower.model_validate(one) for one in context.requests[start : start + context.batch_size]
            ]
            context.results += species(context.classifier, batch)
            context.processed_count += len(batch)
            context.set_progress(context.processed_count, len(context.requests))
        return StepResult(data={"processed": context.processed_count})


class Count(BaseStep[IrisContext]):
    """How often each species was seen."""

    @property
    @override
    def name(self) -> str:
        return "postprocess"

    @property
    @override
    def progress_weight(self) -> float:
        return 0.1

    @override
    def execute(self, context: IrisContext) -> StepResult:
        seen: dict[str, int] = {}
        for result in context.results:
            seen[result["species"]] = seen.get(result["species"], 0) + 1
        if seen:
            context.set_metrics(seen)
        return StepResult(data=dict(seen))


class ScoreInSteps(BaseInferenceAction[Questions]):
    """Registers the steps; there is no `execute`."""

    action_name = "inference_in_steps"

    @override
    def create_context(self) -> IrisContext:
        requests = [flower.model_dump() for flower in self.params.inputs]
        return IrisContext(
            runtime_ctx=self.ctx,
            params=self.params.model_dump(),
            model_id=self.params.model_id,
            requests=requests,
            batch_size=BATCH,
        )

    @override
    def setup_steps(self, registry: StepRegistry[IrisContext]) -> None:
        registry.register(LoadModel(self))
        registry.register(Infer())
        registry.register(Count())
