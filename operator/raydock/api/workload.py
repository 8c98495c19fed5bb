"""What runs: the model, the code that loads it, the pods around both. Deployments and BatchJobs share it."""

from typing import Annotated, Any, ClassVar, Final

from annotated_types import MaxLen, MinLen

from raydock.api.base import ObjectName, Spec
from raydock.api.core import Env, EnvFrom, ImagePullSecrets, ResourceRequirements
from raydock.api.rule import Matches, Rule
from raydock.api.scheduling import Scheduling

PVC_URI = r"pvc://[a-z0-9]([-.a-z0-9]*[a-z0-9])?(/[^\s?#]*)?"
"""A claim of the same namespace and a path in it."""
STORE_URI = r"(s3|gs|az)://[A-Za-z0-9][A-Za-z0-9._-]*(/[A-Za-z0-9!_.*()-]+)*/?"
"""A bucket or container of an object store and a place in it."""
# No `user:password@`: the spec is no place for a secret.
HTTP_URI = r"https?://[^\s/@?#]+(/\S*)?"

IMPORT_PATH = r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*:[A-Za-z_]\w*(\.[A-Za-z_]\w*)*"
"""`MODULE:ATTRIBUTE`."""

STAYS_INSIDE = Rule(
    r"!self.matches(r'(^|/)\.\.(/|$)')",
    "take out '..': write the path from the volume's root",
)
"""No text that leads out of the directory it starts in."""


Named = Annotated[
    str,
    MinLen(1),
    MaxLen(253),
    Matches("[!-~]+", "write what the backend calls it, in ASCII and without spaces"),
]
"""What somebody else calls a thing."""


class Model(Spec):
    """Where the model's files are."""

    uri: Annotated[
        str,
        MinLen(1),
        MaxLen(1024),
        Matches(
            f"{PVC_URI}|{HTTP_URI}",
            "write pvc://CLAIM/PATH or http(s)://HOST/PATH, without user and password",
        ),
        STAYS_INSIDE,
    ]
    """`pvc://CLAIM/PATH`: a file or directory in a PersistentVolumeClaim of the namespace, mounted read-only.
    `http://…`, `https://…`: one file, downloaded before the application starts."""
    sha256: (
        Annotated[
            str, MaxLen(64), Matches("[0-9a-f]{64}", "write the SHA-256 as 64 lower case hexadecimal digits")
        ]
        | None
    ) = None
    """SHA-256 of the one file, checked before it is used. A directory has none."""
    id: Named | None = None
    """Its id in a model backend: what an action asks `get_model` for, and `model_info["id"]` of a serving
    class. Default: none, and an action may call it anything."""
    version: Named | None = None
    """Its version there, for `model_info["version"]`. Default none."""


class Mlflow(Spec):
    """An MLflow model at `model.uri`: the folder with its MLmodel file, or an archive of it."""


TEXT_TASKS: Final = (
    "feature-extraction",
    "fill-mask",
    "sentiment-analysis",
    "text-classification",
    "text-generation",
    "token-classification",
    "zero-shot-classification",
)
"""Pipelines of transformers 5 that take texts, or pairs of texts. Others read files and addresses that a
caller names."""


class Huggingface(Spec):
    """A Hugging Face model at `model.uri`: the folder with its config.json, or an archive of it."""

    task: Annotated[
        str,
        MinLen(1),
        MaxLen(64),
        Matches("|".join(TEXT_TASKS), f"write a task over texts: one of {', '.join(TEXT_TASKS)}"),
    ]
    """What the pipeline of transformers does, such as text-classification. `params` are arguments of its
    calls, such as `top_k`; callers may set those that stand there."""


class Action(Spec):
    """An action of a plugin: a class of the SDK that raydock runs."""

    entrypoint: Annotated[
        str,
        MinLen(3),
        MaxLen(512),
        Matches(IMPORT_PATH, "write MODULE:CLASS, for example plugin.deploy:DeployAction"),
    ]
    """`MODULE:CLASS` in the image or in `code`. Of a Deployment a subclass of BaseDeploymentAction, which is
    run once for each version and deploys its Serve class; of a BatchJob one of BaseInferenceAction."""
    params: dict[str, Any] = {}
    """Free-form parameters that the action is run with. Default none."""


class Server(Spec):
    """What loads the model and answers: exactly one of importPath, action, mlflow and huggingface."""

    import_path: (
        Annotated[
            str,
            MinLen(3),
            MaxLen(512),
            Matches(IMPORT_PATH, "write MODULE:ATTRIBUTE, for example iris.app:app"),
        ]
        | None
    ) = None
    """`MODULE:ATTRIBUTE` in the image or in `code`: a Ray Serve application or a function that builds one;
    for a BatchJob a class or function that predicts a batch."""
    action: Action | None = None
    """A plugin's action."""
    mlflow: Mlflow | None = None
    """An MLflow model, without code: `{}`. `params` are those of its signature."""
    huggingface: Huggingface | None = None
    """A Hugging Face model, without code. The image must hold transformers and torch."""

    rules: ClassVar = (
        Rule(
            "[has(self.importPath), has(self.action), has(self.mlflow), has(self.huggingface)]"
            ".filter(given, given).size() == 1",
            "write exactly one of server.importPath, server.action, server.mlflow and server.huggingface",
        ),
    )


class Code(Spec):
    """Code that is not in the image."""

    config_map: "ConfigMapCode"
    """A ConfigMap whose entries are the files."""


class ConfigMapCode(Spec):
    """Code in a ConfigMap of the namespace, for small applications."""

    name: ObjectName
    """Name of the ConfigMap. A copy of it is mounted and is on PYTHONPATH; each entry is a file."""


Image = Annotated[
    str, MinLen(1), MaxLen(512), Matches(r"[^\s]+", "write the image's reference without spaces or line ends")
]
Params = dict[str, Any]


class Pods(Scheduling):
    """What the pods of a workload are given."""

    params: Params = {}
    """Free-form parameters for the application."""
    resources: ResourceRequirements = ResourceRequirements()
    """What one replica or worker gets. Default of `requests`: an operator setting."""
    head_resources: ResourceRequirements | None = None
    """What Ray itself needs in the head pod, beside replicas or workers. Default: an operator setting."""
    suspend: bool = False
    """Stop the workload and free what it holds; the object stays. Default false."""


class Program(Spec):
    """What is run, beside `server`, which not every kind requires."""

    model: Model | None = None
    """The model's files. Absent: the application needs none."""
    code: Code | None = None
    """Where the code is. Absent: in the image."""
    image: Image | None = None
    """Image with Python, Ray and what the code imports. Default: the operator's runtime image."""
    image_pull_secrets: ImagePullSecrets = ()
    """Secrets that the image is pulled with."""
    env: Env = ()
    """Environment variables of the application."""
    env_from: EnvFrom = ()
    """ConfigMaps and Secrets whose entries become environment variables."""

    rules: ClassVar[tuple[Rule, ...]] = (
        Rule(
            "!has(self.model) || !has(self.model.sha256) || !self.model.uri.endsWith('/')",
            "model.sha256 is of one file: write the file's path into model.uri, or take out sha256",
            ".model.sha256",
        ),
        # `server` is a field of every kind that has a program, required or not.
        Rule(
            "!has(self.server) || has(self.server.importPath) || has(self.server.action) || has(self.model)",
            "server.mlflow and server.huggingface load what lies at model.uri: write it",
            ".model",
        ),
    )
