"""Ray Serve 2.60 warns about its own models while it is imported, which the house's filter makes an error."""

import warnings

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    import ray.serve  # noqa: F401 - imported once, here
