"""Which forms there are."""

from typing import Final

from raydock.serve.formats.azureml import AzureML
from raydock.serve.formats.form import Form, Place
from raydock.serve.formats.sagemaker import SageMaker
from raydock.serve.formats.vertex import Vertex
from raydock.serve.head import Head
from raydock.wire.access import Format

FORMS: Final[dict[str, type[Form]]] = {
    Format.SAGEMAKER: SageMaker,
    Format.VERTEX: Vertex,
    Format.AZUREML: AzureML,
}


def form_of(head: Head, place: Place) -> Form | None:
    """The form that the route says the request has; None: the native one."""
    found = FORMS.get(head.format) if head.format else None
    return found(place) if found else None
