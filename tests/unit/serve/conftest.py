"""Ray Serve 2.60 warns about its own pydantic models while it is imported; the house's filter makes that an error."""

import warnings

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    import ray.serve  # noqa: F401 - imported once, here
