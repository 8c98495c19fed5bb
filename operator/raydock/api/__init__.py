"""The three kinds as users write them: models, rules in CEL, conditions. The CRDs are generated from here."""

from raydock.api.base import API_VERSION, CATEGORY, GROUP, VERSION, Metadata, Resource, Shape, Spec, Status
from raydock.api.batch_status import BatchJobStatus, JobState
from raydock.api.batchjob import BatchJob, BatchJobSpec
from raydock.api.conditions import Condition, ConditionStatus, ConditionType
from raydock.api.deployment import Deployment, DeploymentSpec
from raydock.api.deployment_status import DeploymentStatus
from raydock.api.endpoint import AuthMode, InferenceEndpoint, InferenceEndpointSpec, InferenceEndpointStatus
from raydock.api.rollout import RolloutState

KINDS: tuple[type[Resource], ...] = (Deployment, InferenceEndpoint, BatchJob)
"""Every kind, in the order in which documents list them."""

__all__ = [
    "API_VERSION",
    "CATEGORY",
    "GROUP",
    "KINDS",
    "VERSION",
    "AuthMode",
    "BatchJob",
    "BatchJobSpec",
    "BatchJobStatus",
    "Condition",
    "ConditionStatus",
    "ConditionType",
    "Deployment",
    "DeploymentSpec",
    "DeploymentStatus",
    "InferenceEndpoint",
    "InferenceEndpointSpec",
    "InferenceEndpointStatus",
    "JobState",
    "Metadata",
    "Resource",
    "RolloutState",
    "Shape",
    "Spec",
    "Status",
]
