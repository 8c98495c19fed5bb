"""An inference action in simple mode: one method does it all."""

from pathlib import Path
from typing import Any

from iris_model import Flower, Questions, loaded, species
from typing_extensions import override

from raydock.sdk.plugins.actions.inference import BaseInferenceAction


class Score(BaseInferenceAction[Questions]):
    """Asks the model about all flowers at once."""

    action_name = "inference"

    @override
    def execute(self) -> dict[str, Any]:
        info = self.load_model(self.params.model_id)
        model = loaded(Path(info["path"]))
        self.set_progress(1, 1, self.progress.MODEL_LOAD)

        results = self.infer(model, [flower.model_dump() for flower in self.params.inputs])
        self.set_progress(1, 1, self.progress.INFERENCE)

        unsure = sum(result["probability"] < 0.9 for result in results)
        self.log_message("{count} of the answers are less than 90 % sure", count=unsure)
        self.set_progress(1, 1, self.progress.POSTPROCESS)
        return {"results": results, "processed_count": len(results)}

    @override
    def infer(self, model: Any, inputs: list[dict[str, Any]]) -> list[dict[str, Any]]:
        return species(model, [Flower.model_validate(one) for one in inputs])
