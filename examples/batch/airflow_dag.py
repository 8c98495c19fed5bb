"""An Airflow DAG with one batch job a day: the task ends as the job does.

Needs apache-airflow and apache-airflow-providers-cncf-kubernetes. The job gets the run's name, so a task that
is tried again, because its pod was lost or its time was over, attaches to the job that it began. A job that
Failed stays so: delete it before the task is cleared.
"""

from datetime import datetime, timedelta

from airflow.providers.cncf.kubernetes.operators.pod import KubernetesPodOperator
from airflow.sdk import DAG
from kubernetes.client import (
    V1Capabilities,
    V1ConfigMapVolumeSource,
    V1PodSecurityContext,
    V1SeccompProfile,
    V1SecurityContext,
    V1Volume,
    V1VolumeMount,
)

SCRIPT = """
set -eu
raydock="python -m raydock"
$raydock batch get "$NAME" >/dev/null 2>&1 ||
  sed "s|RUN|$NAME|" /job/job.yaml | $raydock batch run -f - --name "$NAME"
exec $raydock batch wait "$NAME"
"""

with DAG(
    dag_id="iris_nightly",
    schedule="0 2 * * *",
    start_date=datetime(2026, 1, 1),  # noqa: DTZ001 - Airflow takes its own time zone
    catchup=False,
) as dag:
    score = KubernetesPodOperator(
        task_id="score",
        namespace="demo",
        service_account_name="batch-runner",
        image="ghcr.io/raydock/raydock:0.1.0",  # the operator's image has the command line
        cmds=["sh", "-c", SCRIPT],
        env_vars={"NAME": "iris-{{ ds_nodash }}"},
        volumes=[V1Volume(name="job", config_map=V1ConfigMapVolumeSource(name="iris-nightly"))],
        volume_mounts=[V1VolumeMount(name="job", mount_path="/job")],
        security_context=V1PodSecurityContext(
            run_as_non_root=True, seccomp_profile=V1SeccompProfile(type="RuntimeDefault")
        ),
        container_security_context=V1SecurityContext(
            allow_privilege_escalation=False, capabilities=V1Capabilities(drop=["ALL"])
        ),
        get_logs=True,
        retries=2,
        retry_delay=timedelta(minutes=1),
        execution_timeout=timedelta(hours=12),  # of the task; the job itself goes on
    )
