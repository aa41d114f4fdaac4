"""Start Dask workers as SLURM jobs and print the address that `exod detect --scheduler` takes.

Needs the extra `slurm` (dask-jobqueue). Run it where `sbatch` works and the nodes reach this host::

    python deploy/dask/slurm.py --jobs 4 --queue NAME          # in one terminal
    exod detect DATA --archive ROOT --scheduler tcp://HOST:8786  # in another

`--render` prints the job script instead, and needs no SLURM.
"""

from __future__ import annotations

import signal
import sys
import time
from pathlib import Path
from typing import Annotated

import dask
import typer
import yaml
from dask.utils import parse_timedelta
from dask_jobqueue import SLURMCluster

SETTINGS = Path(__file__).with_name("dask.yaml")

WAIT_SECONDS = 24 * 3600
"""How long jobs may wait in the queue."""


def make_cluster(
    *,
    workers_per_job: int,
    memory_gib: float,
    walltime: str,
    queue: str | None,
    account: str | None,
    interface: str | None,
    scratch: str,
    logs: Path,
    port: int,
    dashboard_port: int,
) -> SLURMCluster:
    """Start a scheduler here that submits jobs of `workers_per_job` processes, one thread each."""
    settings = yaml.safe_load(SETTINGS.read_text(encoding="utf-8"))
    dask.config.update(dask.config.config, settings, priority="new")
    logs = logs.absolute()
    # Workers leave before SLURM ends them, so that their tasks go to others without blame.
    lifetime = parse_timedelta(_seconds(walltime)) - 300
    if lifetime < 300:
        raise typer.BadParameter("--walltime must be 10 minutes or more.")
    return SLURMCluster(
        job_name="exod",
        cores=workers_per_job,
        processes=workers_per_job,
        memory=f"{workers_per_job * memory_gib}GiB",
        walltime=walltime,
        queue=queue,
        account=account,
        interface=interface,
        local_directory=scratch,
        log_directory=str(logs),
        death_timeout=120,
        worker_extra_args=["--lifetime", f"{lifetime:.0f}s", "--lifetime-stagger", "120s"],
        job_script_prologue=[f"export DASK_CONFIG={SETTINGS.absolute()}"],
        scheduler_options={"port": port, "dashboard_address": f"127.0.0.1:{dashboard_port}"},
    )


def _seconds(walltime: str) -> str:
    """Duration that SLURM writes as [D-]HH:MM:SS."""
    days, _, clock = walltime.rpartition("-")
    try:
        hours, minutes, seconds = (int(part) for part in clock.split(":"))
        return f"{((int(days or 0) * 24 + hours) * 60 + minutes) * 60 + seconds}s"
    except ValueError as error:
        raise typer.BadParameter(f"--walltime is [D-]HH:MM:SS, not {walltime!r}.") from error


def main(
    jobs: Annotated[int, typer.Option(min=1, help="SLURM jobs that run at the same time.")] = 1,
    workers_per_job: Annotated[int, typer.Option(min=1, help="Processes, a core each.")] = 8,
    memory_gib: Annotated[float, typer.Option(min=0.5, help="Memory of a process in GiB.")] = 2.0,
    walltime: Annotated[str, typer.Option(help="[D-]HH:MM:SS; new jobs follow.")] = "12:00:00",
    queue: Annotated[str | None, typer.Option(help="Partition.")] = None,
    account: Annotated[str | None, typer.Option(help="Account.")] = None,
    interface: Annotated[str | None, typer.Option(help="Network interface, as ib0.")] = None,
    scratch: Annotated[str, typer.Option(help="Folder on the disk of a node.")] = "/tmp",  # noqa: S108
    logs: Annotated[Path, typer.Option(help="Folder that all nodes see.")] = Path("slurm-logs"),
    port: Annotated[int, typer.Option(help="Port of the scheduler.")] = 8786,
    dashboard_port: Annotated[int, typer.Option(help="Of the dashboard, on localhost.")] = 8787,
    render: Annotated[bool, typer.Option("--render", help="Print the job script only.")] = False,
) -> None:
    """Start a scheduler here and its workers as SLURM jobs, until Ctrl-C.

    Example: `python deploy/dask/slurm.py --jobs 4 --queue normal`
    """
    cluster = make_cluster(
        workers_per_job=workers_per_job,
        memory_gib=memory_gib,
        walltime=walltime,
        queue=queue,
        account=account,
        interface=interface,
        scratch=scratch,
        logs=logs,
        port=0 if render else port,
        dashboard_port=0 if render else dashboard_port,
    )
    with cluster:
        if render:
            typer.echo(cluster.job_script())
            return
        # Jobs that reach their end are replaced.
        cluster.adapt(minimum_jobs=jobs, maximum_jobs=jobs)
        typer.echo(f"Dashboard: http://127.0.0.1:{dashboard_port}/status (ssh -L brings it to you)")
        # The driver counts the workers once, when it starts.
        typer.echo("Waiting for all jobs to start ...")
        cluster.wait_for_workers(jobs * workers_per_job, timeout=WAIT_SECONDS)
        address = cluster.scheduler_address
        typer.echo(f"Ready: exod detect DATA --archive ROOT --scheduler {address}")
        # dask_jobqueue turns Ctrl-C into an exit, which ends the jobs; so does a kill.
        signal.signal(signal.SIGTERM, lambda *_: sys.exit())
        while True:
            time.sleep(60)


if __name__ == "__main__":
    typer.run(main)
