"""The base of every action."""

import logging
from collections.abc import Mapping
from typing import Any, ClassVar, Final, Generic, get_args, get_origin

from pydantic import BaseModel, ValidationError
from typing_extensions import TypeVar, override

from raydock.sdk.loggers.base import BaseLogger
from raydock.sdk.loggers.entry import LogLevel
from raydock.sdk.loggers.progress import step_weights
from raydock.sdk.plugins.context import RuntimeContext
from raydock.sdk.plugins.enums import PluginCategory
from raydock.sdk.plugins.log_messages import LogMessageCode
from raydock.sdk.plugins.steps.base import BaseStepContext
from raydock.sdk.plugins.steps.orchestrator import Orchestrator
from raydock.sdk.plugins.steps.registry import StepRegistry
from raydock.sdk.utils.data_uri import File

_LOG: Final = logging.getLogger(__name__)

P = TypeVar("P", default=Any)
"""The model of an action's parameters."""


class NoResult(BaseModel):
    """The result model of an action that declares none: nothing is checked."""


class BaseAction(Generic[P]):
    """What a plugin's action is and can call. A subclass overrides `execute`, or registers steps.

    `BaseAction[Params]`: `params` are validated by the model Params before anything is run.
    """

    action_name: ClassVar[str | None] = None
    """Without one, its key in config.yaml."""
    category: ClassVar[PluginCategory | None] = None
    """Without one, the plugin's."""
    params_model: ClassVar[type[BaseModel] | None] = None
    """The generic argument, unless set; None passes parameters on as they are."""
    result_model: ClassVar[type[BaseModel]] = NoResult
    """What the result is compared with, for a warning."""
    input_type: ClassVar[type[Any] | None] = None
    """Metadata for people and tools."""
    output_type: ClassVar[type[Any] | None] = None
    """Metadata for people and tools."""
    progress_plan: ClassVar[Mapping[str, int]] = {}
    """Weights of the categories that `execute` reports progress of, in any unit."""

    params: P
    ctx: RuntimeContext

    @override
    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if "params_model" not in cls.__dict__ and (model := _generic_model(cls)) is not None:
            cls.params_model = model

    def __init__(self, params: P, ctx: RuntimeContext) -> None:
        self.params = params
        self.ctx = ctx

    @classmethod
    def dispatch(cls, params: Mapping[str, Any], ctx: RuntimeContext) -> Any:
        """Validate `params`, and run. Raises pydantic's ValidationError, and what the action raises."""
        model = cls.params_model
        given: Any = params
        if model is not None:
            given = model.model_validate(params, context={"client": ctx.client})
        return validate_result(cls(given, ctx).run(), cls.result_model, ctx.logger)

    @property
    def logger(self) -> BaseLogger:
        """`ctx.logger`."""
        return self.ctx.logger

    def run(self) -> Any:
        """The result: of the registered steps, or of `execute` where there are none.

        Raises NotImplementedError when there is neither, and what they raise.
        """
        registry: StepRegistry[Any] = StepRegistry()
        self.setup_steps(registry)
        if registry:
            return self._run_steps(registry)
        if self.progress_plan and not self.logger.planned:
            self.logger.set_step_proportions(self.progress_plan)
        return self.execute()

    def execute(self) -> Any:
        """The action itself: a dict, a pydantic model, or another value that JSON can hold."""
        raise NotImplementedError("Override execute() or register steps in setup_steps()")

    def setup_steps(self, registry: StepRegistry[Any]) -> None:
        """Register steps, which are then executed in place of `execute`."""

    def create_context(self) -> BaseStepContext:
        """What the steps share."""
        return BaseStepContext(runtime_ctx=self.ctx)

    def result_of_steps(self, context: Any) -> dict[str, Any]:  # noqa: ARG002 - for those that override it
        """What the result of steps holds besides their numbers, once all of them succeeded."""
        return {}

    def log(self, event: str, data: Mapping[str, Any], file: File | None = None) -> None:
        """Log `event`; `file`: a path, bytes or a data URI."""
        self.ctx.log(event, data, file)

    def log_message(
        self,
        message: str | Mapping[str, str] | LogMessageCode,
        level: LogLevel | str = LogLevel.INFO,
        *,
        context: str | None = None,
        **kwargs: Any,
    ) -> None:
        """Log a message; see RuntimeContext.log_message."""
        self.ctx.log_message(message, level, context=context, **kwargs)

    def set_progress(
        self, current: float, total: float, step: str | None = None, *, category: str | None = None
    ) -> None:
        """Report that `current` of `total` is done of `step`, or of the action. `category`: its old name."""
        self.ctx.set_progress(current, total, step, category=category)

    def set_metrics(self, value: Mapping[str, Any], step: str | None = None) -> None:
        """Merge `value` into the metrics of `step`."""
        self.ctx.set_metrics(value, step)

    def log_metric(self, category: str, key: str, value: float, **metrics: Any) -> None:
        """Log one figure of a series."""
        self.ctx.log_metric(category, key, value, **metrics)

    def log_visualization(self, category: str, group: str, index: int, image: File, **meta: Any) -> None:
        """Log a picture: a path, bytes or a data URI."""
        self.ctx.log_visualization(category, group, index, image, **meta)

    def get_log_message_code_class(self) -> type[LogMessageCode]:
        """The plugin's message codes. Raises NotImplementedError where it has none."""
        raise NotImplementedError(
            "Override get_log_message_code_class() to return the plugin's LogMessageCode"
        )

    def _run_steps(self, registry: StepRegistry[Any]) -> dict[str, Any]:
        if self.logger.progress is None:
            weights, orders = step_weights(registry.get_steps()), registry.get_step_orders()
            self.logger.set_step_proportions(weights, orders)
        context = self.create_context()
        orchestrator = Orchestrator(registry, context, context.set_progress)
        return {**orchestrator.execute(), **self.result_of_steps(context)}


def validate_result(
    result: Any, result_model: type[BaseModel] | None, logger: BaseLogger | None = None
) -> Any:
    """`result`, unchanged; where it is not as `result_model` has it, a warning goes to `logger`."""
    if result_model is None or result_model is NoResult or isinstance(result, result_model):
        return result
    try:
        result_model.model_validate(result)
    except ValidationError as error:
        told = f"Result validation warning for {result_model.__name__}: {error}"
        if logger is None or logger.finished:  # an action may finish its logger itself
            _LOG.warning(told)
        else:
            logger.warning(told)
    return result


def _generic_model(cls: type) -> type[BaseModel] | None:
    """The pydantic model in `class X(Base[Model])`, where Base is an action."""
    for base in cls.__dict__.get("__orig_bases__", ()):
        origin = get_origin(base)
        if isinstance(origin, type) and issubclass(origin, BaseAction):
            for argument in get_args(base):
                if isinstance(argument, type) and issubclass(argument, BaseModel):
                    return argument
    return None
