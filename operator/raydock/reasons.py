"""Every reason that a condition or an event may carry, with what a user should know about it."""

from enum import StrEnum
from typing import Self


class Reason(StrEnum):
    """A word for machines; its `text` is what the reference says to people."""

    text: str

    def __new__(cls, value: str, text: str = "") -> Self:
        """A member; `text` has a default only so that `Reason("Ready")` looks one up."""
        reason = str.__new__(cls, value)
        reason._value_ = value
        reason.text = text
        return reason

    # All kinds
    READY = "Ready", "What the spec asks for was seen to work."
    SUSPENDED = "Suspended", "spec.suspend is true: the workload is stopped, the object stays."
    PAUSED = "Paused", "The annotation raydock.io/paused is set: nothing is changed until it is removed."
    PENDING = "Pending", "Not looked at yet, or still waiting for a first answer."
    DEPENDENCY_MISSING = (
        "DependencyMissing",
        "Something named in the spec does not exist yet; goes on when it appears.",
    )
    NAME_CONFLICT = (
        "NameConflict",
        "An object of this name exists and is not raydock's: rename one of the two.",
    )
    INVALID_SPEC = "InvalidSpec", "The spec cannot work as written; the message says what to write instead."
    API_ERROR = "ApiError", "The Kubernetes API refused or failed a call; it is tried again."

    # Capacity
    FITS = "Fits", "The gate counted the room and found enough."
    INSUFFICIENT = (
        "Insufficient",
        "The cluster has too little room; the message says of what, and how much is missing.",
    )
    SCALED_TO_ZERO = (
        "ScaledToZero",
        "No replica runs: spec.replicas is 0; or minReplicas is, and the first request will start one.",
    )
    PROVISIONING = (
        "Provisioning",
        "No node has the room yet: the pods are made, so that the cluster's autoscaler adds nodes for them.",
    )
    QUEUED = "Queued", "There is room, but jobs wait in line before this one, and it would delay one of them."
    CHECK_FAILED = (
        "CheckFailed",
        "The capacity agent gave no clear answer, so nothing was started; it is asked again.",
    )
    GATE_OFF = "GateOff", "The capacity provider is `none`: nothing was checked."

    # Deployment
    CREATING = "Creating", "The first Ray cluster of this Deployment is being started."
    UPDATING = "Updating", "A change is being applied to the running cluster."
    BLUE_GREEN = (
        "BlueGreen",
        "A second Ray cluster starts with the new version; the old one serves until it is healthy.",
    )
    ROLLING = "Rolling", "New replicas replace the old ones one by one in the running Ray cluster."
    RECREATING = "Recreating", "The old version was given up, as rollout.strategy asks; the new one starts."
    ROLLED_BACK = (
        "RolledBack",
        "The new version failed and the last good one serves; nothing is tried until the spec changes.",
    )
    STRATEGY_UNSUITABLE = (
        "StrategyUnsuitable",
        "rollout.strategy InPlace cannot bring this change: write another strategy.",
    )
    APPLICATION_RUNNING = (
        "ApplicationRunning",
        "The application answers its health route through its Service.",
    )
    APPLICATION_STARTING = "ApplicationStarting", "Pods are up, the application is still being started."
    CLUSTER_STARTING = "ClusterStarting", "The Ray cluster's pods are being started."
    CLUSTER_READY = "ClusterReady", "All pods of the active Ray cluster are ready."
    UNHEALTHY = "Unhealthy", "The application ran and does not answer its health route now."
    NOTHING_DEPLOYED = (
        "NothingDeployed",
        "The action of spec.server.action ended without a call of deploy(): call it in execute() or a step.",
    )
    ACTION_FAILED = (
        "ActionFailed",
        "The action of spec.server.action raised an error; the message ends with its traceback.",
    )
    IMPORT_FAILED = (
        "ImportFailed",
        "Code that spec.server names, or a package that it needs, cannot be loaded; the message says why.",
    )
    MODEL_NOT_FOUND = "ModelNotFound", "There is nothing at model.uri, or nothing that spec.server can load."
    MODEL_CHECKSUM_MISMATCH = (
        "ModelChecksumMismatch",
        "What lies at model.uri does not have the SHA-256 of model.sha256.",
    )
    MODEL_LOAD_FAILED = "ModelLoadFailed", "The model could not be fetched or read."
    PROGRESS_DEADLINE_EXCEEDED = (
        "ProgressDeadlineExceeded",
        "The new version made no progress for rollout.progressDeadlineSeconds; an older one serves on.",
    )
    IMAGE_PULL_FAILED = "ImagePullFailed", "The image cannot be pulled: check its name and imagePullSecrets."
    OUT_OF_MEMORY = "OutOfMemory", "A container was killed for memory: raise resources.limits.memory."
    UNSCHEDULABLE = "Unschedulable", "The scheduler finds no node for a pod; the message is the scheduler's."
    REGISTERED = "Registered", "The backend has a record of the application; status shows its id."
    REGISTRATION_FAILED = (
        "RegistrationFailed",
        "The backend could not be told of the application, which serves on; it is tried again.",
    )
    CRASH_LOOP = "CrashLoop", "A container ends again and again; the message holds its last exit."
    CONTAINER_CONFIG_ERROR = (
        "ContainerConfigError",
        "A pod names a Secret or ConfigMap key that is not there.",
    )

    # InferenceEndpoint
    ROUTE_ACCEPTED = "RouteAccepted", "The gateway accepted the routes."
    ROUTE_NOT_ACCEPTED = "RouteNotAccepted", "The gateway refused a route, or has not looked at it yet."
    GATEWAY_MISSING = "GatewayMissing", "The Gateway that should carry the routes does not exist."
    DEPLOYMENTS_READY = "DeploymentsReady", "Each Deployment with traffic is healthy."
    DEPLOYMENT_NOT_READY = "DeploymentNotReady", "A Deployment with traffic is not healthy."
    ROUTE_MODE_CONFLICT = (
        "RouteModeConflict",
        "One Deployment answers predictions and another lends out its paths: write the same form of routes.",
    )
    TRAFFIC_PENDING = (
        "TrafficPending",
        "The split in force is not the spec's yet: a Deployment is not healthy.",
    )
    PROGRESSING = (
        "Progressing",
        "Traffic moves step by step, as spec.progression asks; the message says how the newcomer does.",
    )
    PROGRESSION_FAILED = (
        "ProgressionFailed",
        "The newcomer did badly and its traffic was taken back; tried again once it or the spec changes.",
    )
    PROGRESSION_UNCLEAR = (
        "ProgressionUnclear",
        "Two Deployments would get more at once, so nobody could tell whose fault an error is.",
    )
    PROMOTED = "Promoted", "The newcomer did well in each step; the split of the spec is in force."
    NO_TRAFFIC = "NoTraffic", "Every share is 0: requests are refused with 503."
    KEYS_KNOWN = "KeysKnown", "The serving pods hold the hashes of the current keys."
    PODS_NOT_ANNOTATED = (
        "PodsNotAnnotated",
        "The operator may not annotate pods, so the kubelet brings them new keys when it looks by itself.",
    )
    KEYS_PENDING = "KeysPending", "New keys were not yet reported by all serving pods."
    AUTH_OFF = "AuthOff", "auth.mode is None: requests are not authenticated."
    ASYNC_TAKEN = "AsyncTaken", "The endpoint takes asynchronous requests (spec.asyncInference)."
    KEY_ROTATED = "KeyRotated", "A key was replaced; the other one goes on working."
    ROTATION_REFUSED = (
        "RotationRefused",
        "The value of raydock.io/rotate is not primary or secondary (with `:ANY` to ask again).",
    )

    # BatchJob
    STARTING = "Starting", "The job's Ray cluster is being started."
    RUNNING = "Running", "The driver works through the shards."
    FINALIZING = "Finalizing", "All shards are committed; the output is being published."
    SUCCEEDED = "Succeeded", "Every row is in the output once, or in _errors/, and _SUCCESS is written."
    RETRYING = "Retrying", "An attempt failed; the next one goes on after the last committed shard."
    INPUT_INVALID = (
        "InputInvalid",
        "The input has no row, no matching file, lacks a column or cannot be read; nothing was published.",
    )
    PARAMS_INVALID = (
        "ParamsInvalid",
        "The model or action has no such function or parameter, or a value is of another type; nothing ran.",
    )
    INPUT_CHANGED = "InputChanged", "A file of the input changed between two attempts."
    OUTPUT_NOT_EMPTY = "OutputNotEmpty", "The output holds something already, or another job writes there."
    OUTPUT_UNSUITABLE = (
        "OutputUnsuitable",
        "The output's storage cannot create files exclusively, so it cannot be kept exact.",
    )
    PREDICT_FAILED = "PredictFailed", "What the model gives for some rows does not fit what it gave before."
    TOO_MANY_FAILED_ROWS = (
        "TooManyFailedRows",
        "More rows failed than errors.maxFailedRows allows; the message has the first of them.",
    )
    BACKOFF_LIMIT_EXCEEDED = "BackoffLimitExceeded", "The job failed more often than backoffLimit allows."
    DEADLINE_EXCEEDED = "DeadlineExceeded", "The job ran longer than activeDeadlineSeconds."
    CANCELLED = "Cancelled", "spec.cancel is true: stopped, committed shards stay staged, no _SUCCESS."
    RECORD_LOST = (
        "RecordLost",
        "The ConfigMap in which a started job keeps what it runs was deleted; nobody can tell it any more.",
    )
    JOB_FAILED = "JobFailed", "The Ray job failed; the message is Ray's."

    # Events only
    ROLLOUT_STARTED = "RolloutStarted", "A version is being brought in; the message says how, and why so."
    ROLLOUT_DONE = "RolloutDone", "The version that was brought in answers."
    SCALED = "Scaled", "Worker pods were asked for, or those without a replica were ended."
    APPLIED = "Applied", "A child object was written."
    DENIED = "Denied", "The capacity gate said no; the message says what is missing."
    TRAFFIC_CHANGED = "TrafficChanged", "A new split took force."
