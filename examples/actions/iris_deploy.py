"""A deployment action, and the class whose replicas answer requests."""

from typing import Any

from fastapi import FastAPI
from iris_model import Flower, loaded, species
from pydantic import BaseModel
from typing_extensions import override

from raydock.sdk.plugins.actions.inference import BaseDeploymentAction, BaseServeDeployment

api = FastAPI(title="Iris")


class ServeIris(BaseServeDeployment):
    """A replica. A request's model token says which model it means; without one, the Deployment's own.

    As an action, it asks the replicas that run already.
    """

    action_name = "ask"
    app = api

    @override
    async def _get_model(self, model_info: dict[str, Any]) -> Any:
        return loaded(model_info["path"])

    @api.post("/")
    @override
    async def infer(self, flowers: list[Flower]) -> list[dict[str, Any]]:
        return species(await self.get_model(), flowers)


class Size(BaseModel):
    """Parameters of the deployment action. Under the operator the Deployment's `resources` count instead."""

    num_cpus: float | None = None


class DeployIris(BaseDeploymentAction[Size]):
    """Deploys ServeIris: from a terminal or a Ray job by itself, under the operator as a Deployment."""

    action_name = "deployment"
    entrypoint = ServeIris

    @override
    def execute(self) -> dict[str, Any]:
        self.ray_init()
        self.set_progress(1, 1, self.progress.INITIALIZE)

        self.deploy()
        self.set_progress(1, 1, self.progress.DEPLOY)

        registered = self.register_serve_application()
        self.set_progress(1, 1, self.progress.REGISTER)
        return {"serve_application": registered}
