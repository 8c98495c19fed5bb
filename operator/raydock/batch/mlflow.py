"""`server.mlflow` in a batch job: a class as a user's own, with the inputs of the model's signature."""

from collections.abc import Mapping
from typing import Any

import pyarrow as pa

from raydock.models.pyfunc import Pyfunc
from raydock.models.signature import optional_names


class Model:
    """What a worker makes once."""

    def __init__(self) -> None:
        self._model = Pyfunc()
        self.inputs = self._model.inputs
        self.optional_inputs = optional_names(self._model.schema)

    def reconfigure(self, params: Mapping[str, Any]) -> None:
        """`spec.params`, over the defaults of the signature. Raises LoadFailed(PARAMS_INVALID)."""
        self._model.reconfigure(params)

    def predict(self, batch: pa.Table) -> Any:
        """What the model says of each row."""
        return self._model.predict(self._model.of_table(batch))
