"""The steps of an action, in the order they are executed in."""

from typing import Generic

from raydock.sdk.plugins.steps.base import BaseStep, C


class StepRegistry(Generic[C]):
    """Steps in order. Names may occur twice: of the maps by name the last one counts."""

    def __init__(self) -> None:
        self._steps: list[BaseStep[C]] = []

    def register(self, step: BaseStep[C]) -> None:
        """Add `step` as the last one."""
        self._steps.append(step)

    def unregister(self, name: str) -> None:
        """Take out the steps called `name`, if there are any."""
        self._steps = [step for step in self._steps if step.name != name]

    def insert_before(self, name: str, step: BaseStep[C]) -> None:
        """Add `step` before the first one called `name`. Raises ValueError where there is none."""
        self._steps.insert(self._index(name), step)

    def insert_after(self, name: str, step: BaseStep[C]) -> None:
        """Add `step` after the first one called `name`. Raises ValueError where there is none."""
        self._steps.insert(self._index(name) + 1, step)

    def get_steps(self) -> list[BaseStep[C]]:
        """A copy."""
        return list(self._steps)

    @property
    def total_weight(self) -> float:
        """Sum of the weights."""
        return sum(step.progress_weight for step in self._steps)

    def get_step_proportions(self) -> dict[str, int]:
        """Declared proportions by name, those above 0."""
        return {step.name: step.progress_proportion for step in self._steps if step.progress_proportion > 0}

    def get_step_orders(self) -> dict[str, int]:
        """Places by name, from 0."""
        return {step.name: order for order, step in enumerate(self._steps)}

    def __len__(self) -> int:
        return len(self._steps)

    def __bool__(self) -> bool:
        return bool(self._steps)

    def _index(self, name: str) -> int:
        for index, step in enumerate(self._steps):
            if step.name == name:
                return index
        raise ValueError(f"Step '{name}' not found")
