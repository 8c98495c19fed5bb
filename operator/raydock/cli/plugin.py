"""`raydock plugin`: run the actions of a plugin, here or in a Ray cluster, and look after it.

Exit codes: 0 done; 1 the action failed, or could not be run; 2 usage.
"""

from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer(no_args_is_help=True, help="Run the actions of a plugin, here or in a Ray cluster.")
job = typer.Typer(no_args_is_help=True, help="Look at jobs of the backend, or of a Ray cluster.")
app.add_typer(job, name="job")

Directory = Annotated[
    Path, typer.Option("--path", help="The plugin's directory.", file_okay=False, exists=True)
]
Host = Annotated[
    str | None, typer.Option("--host", help="URL of the backend. Default: the login's.", show_default=False)
]
Token = Annotated[
    str | None, typer.Option("--token", "-t", help="Access token. Default: the login's.", show_default=False)
]
Deployment = Annotated[
    str | None,
    typer.Option("--deployment", help="Use the Ray cluster of this Deployment.", show_default=False),
]
Namespace = Annotated[
    str | None,
    typer.Option(
        "--namespace", "-n", help="Of the Deployment. Default: the context's namespace.", show_default=False
    ),
]
Context = Annotated[
    str | None, typer.Option("--context", help="Context of the kubeconfig.", show_default=False)
]
RayAddress = Annotated[
    str,
    typer.Option(
        "--ray-address", help="Host or URL of the Ray cluster; auto: the agent's host, else localhost."
    ),
]
JobId = Annotated[str, typer.Argument(help="Id of the job.", show_default=False)]


@app.command("run")
def run(  # noqa: PLR0913, PLR0917 - one for each option
    action: Annotated[str, typer.Argument(help="Its name in config.yaml.", show_default=False)],
    plugin: Annotated[
        str | None,
        typer.Option("--plugin", "-p", help="The plugin's code. Default: config.yaml's.", show_default=False),
    ] = None,
    path: Directory = Path(),
    params: Annotated[str, typer.Option("--params", help="Parameters as a JSON object.")] = "{}",
    mode: Annotated[
        str | None,
        typer.Option(
            "--mode",
            "-m",
            help="local: in this process; task: a Ray actor; job: a Ray job; remote: by the backend. "
            "Default: asked.",
            show_default=False,
        ),
    ] = None,
    ray_address: RayAddress = "auto",
    gpus: Annotated[
        float | None, typer.Option("--gpus", min=0, help="GPUs for a task or job.", show_default=False)
    ] = None,
    cpus: Annotated[
        float | None, typer.Option("--cpus", min=0, help="CPUs for a task or job.", show_default=False)
    ] = None,
    body: Annotated[
        str | None,
        typer.Option("--input", "-i", help="JSON that is sent to a served model.", show_default=False),
    ] = None,
    infer_path: Annotated[str, typer.Option("--infer-path", help="Path of that request.")] = "/",
    host: Host = None,
    token: Token = None,
    debug: Annotated[
        bool, typer.Option("--debug/--no-debug", help="Show tracebacks; the backend runs its debug release.")
    ] = True,
    debug_sdk: Annotated[
        bool, typer.Option("--debug-sdk", help="Take this machine's raydock along to the cluster.")
    ] = False,
    language: Annotated[
        str | None,
        typer.Option(
            "--lang", "-l", help="Of messages. Default: SYNAPSE_LANGUAGE, else en.", show_default=False
        ),
    ] = None,
    deployment: Deployment = None,
    namespace: Namespace = None,
    context: Context = None,
) -> None:
    """Run an action, and print its result as JSON.

    Exit codes: 0 it succeeded; 1 it failed, or could not be run; 2 usage.
    """
    from raydock.cli import plugin_run  # noqa: PLC0415 - `raydock --help` needs nothing of it
    from raydock.cli.plugin_place import Place  # noqa: PLC0415 - likewise

    plugin_run.run(
        plugin_run.Asked(
            action=action,
            plugin=plugin,
            path=path.resolve(),
            params=params,
            body=body,
            infer_path=infer_path,
            mode=mode,
            cpus=cpus,
            gpus=gpus,
            host=host,
            token=token,
            debug=debug,
            debug_sdk=debug_sdk,
            language=language,
            place=Place(ray_address, deployment, namespace, context),
        )
    )


@app.command("update-config")
def update_config(
    path: Annotated[
        Path,
        typer.Option("--path", "-p", help="The plugin's directory.", file_okay=False, exists=True),
    ] = Path(),
    config: Annotated[
        Path | None,
        typer.Option("--config", "-c", help="Its config. Default: config.yaml there.", show_default=False),
    ] = None,
) -> None:
    """Write the actions that the plugin's modules define into config.yaml.

    New actions are added; entrypoints, input and output types are made what the code says. All else in the
    file stays as it is, comments too.
    """
    from raydock.cli import plugin_config  # noqa: PLC0415 - `raydock --help` needs nothing of it

    plugin_config.update(path.resolve(), config)


@job.command("get")
def get_job(
    job_id: JobId,
    host: Host = None,
    token: Token = None,
    ray_address: RayAddress = "",
    deployment: Deployment = None,
    namespace: Namespace = None,
    context: Context = None,
) -> None:
    """Show a job: the backend's, or with --ray-address or --deployment one of that Ray cluster."""
    from raydock.cli import plugin_job  # noqa: PLC0415 - `raydock --help` needs nothing of it
    from raydock.cli.plugin_place import Place  # noqa: PLC0415 - likewise

    place = Place(ray_address, deployment, namespace, context)
    plugin_job.get(job_id, place, host, token)


@job.command("logs")
def show_logs(
    job_id: JobId,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on until the job ended.")] = False,
    host: Host = None,
    token: Token = None,
    ray_address: RayAddress = "",
    deployment: Deployment = None,
    namespace: Namespace = None,
    context: Context = None,
) -> None:
    """Print what a job wrote: of the backend, or with --ray-address or --deployment of that Ray cluster."""
    from raydock.cli import plugin_job  # noqa: PLC0415 - `raydock --help` needs nothing of it
    from raydock.cli.plugin_place import Place  # noqa: PLC0415 - likewise

    place = Place(ray_address, deployment, namespace, context)
    plugin_job.logs(job_id, place, host, token, follow=follow)
