"""The app that all variants serve: as little as FastAPI can do."""

from fastapi import FastAPI
from pydantic import BaseModel
from ray import serve

app = FastAPI()


class Instances(BaseModel):
    """As Vertex AI sends them."""

    instances: list[list[float]]


@app.post("/")
async def predict(asked: list[list[float]] | Instances) -> list[int]:
    """One answer a row."""
    return [0 for _ in (asked.instances if isinstance(asked, Instances) else asked)]


@serve.deployment(max_ongoing_requests=100, ray_actor_options={"num_cpus": 0.1})
@serve.ingress(app)
class Plain:
    """The same app as plain Ray Serve has it."""


plain = Plain.bind()
