"""The app that all variants serve: as little as FastAPI can do."""

from fastapi import FastAPI
from ray import serve

app = FastAPI()


@app.post("/")
async def predict(rows: list[list[float]]) -> list[int]:
    """One answer a row."""
    return [0 for _ in rows]


@serve.deployment(max_ongoing_requests=100, ray_actor_options={"num_cpus": 0.1})
@serve.ingress(app)
class Plain:
    """The same app as plain Ray Serve has it."""


plain = Plain.bind()
