"""What deploys exod parses, fits together and starts; nothing here needs a cluster or a network."""

from __future__ import annotations

import importlib.util
import json
import os
import re
import runpy
import shutil
import signal
import socket
import subprocess
import sys
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any

import dask.config
import distributed
import pytest
import typer
import typer.testing
import yaml
from dask.utils import parse_bytes
from distributed.cli import dask_scheduler, dask_worker
from helpers.kubernetes_objects import (
    Container,
    DaskAutoscaler,
    DaskCluster,
    Job,
    PersistentVolumeClaim,
    Pod,
    Secret,
)
from helpers.processes import LONGEST, start_interruptible, wait_until

from exod import __version__
from exod.cli import app

ROOT = Path(__file__).resolve().parents[2]
DEPLOY = ROOT / "deploy" / "dask"
IMAGE = f"registry.example.org/exod:{__version__}"
SCHEDULER = "tcp://exod-scheduler:8786"


def read(name: str) -> Any:
    return yaml.safe_load((DEPLOY / name).read_text(encoding="utf-8"))


CLUSTER = DaskCluster.model_validate(read("cluster.yaml"))
AUTOSCALER = DaskAutoscaler.model_validate(read("autoscaler.yaml"))
JOB = Job.model_validate(read("driver.yaml"))
SECRET = Secret.model_validate(read("secret.example.yaml"))
VOLUME = PersistentVolumeClaim.model_validate(read("volume.yaml"))
COMPOSE = read("compose.yaml")
SERVICES = COMPOSE["services"]

PODS: list[Pod] = [CLUSTER.spec.scheduler.spec, CLUSTER.spec.worker.spec, JOB.spec.template.spec]
SCHEDULER_POD, WORKER_POD, DRIVER_POD = PODS
CONTAINERS: list[Container] = [c for pod in PODS for c in (*pod.init_containers, *pod.containers)]
COMMANDS: list[list[str]] = [
    *(container.args for container in CONTAINERS),
    *(service["command"] for service in SERVICES.values()),
]


def option(arguments: list[str], name: str) -> str:
    return arguments[arguments.index(name) + 1]


def instructions() -> list[tuple[str, str]]:
    """Instructions of the Dockerfile with their arguments."""
    text = (DEPLOY / "Dockerfile").read_text(encoding="utf-8")
    lines = "\n".join(line for line in text.splitlines() if not line.startswith("#"))
    found = (line.split(None, 1) for line in lines.replace("\\\n", " ").splitlines() if line)
    return [(name, rest) for name, rest in found]


# ------------------------------------------------------------------------------ commands


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_commands_parse(command: list[str]) -> None:
    program, *rest = command
    if program == "exod":
        group = typer.main.get_command(app)
        context = group.make_context("exod", list(rest))
        name, chosen, rest = group.resolve_command(context, rest)  # type: ignore[attr-defined]
        chosen.make_context(name, rest, parent=context)
    elif program == "dask":
        main = {"scheduler": dask_scheduler.main, "worker": dask_worker.main}[rest[0]]
        main.make_context(rest[0], rest[1:])
    else:
        assert program == "python"
        compile(option(command, "-c"), "<command>", "exec")


def test_one_thread_a_worker_and_memory_for_it() -> None:
    limits = SERVICES["exod-worker"]["deploy"]["resources"]["limits"]
    (worker,) = WORKER_POD.containers
    for command, memory in (
        (worker.args, worker.resources.limits.memory + "B"),
        (SERVICES["exod-worker"]["command"], limits["memory"].replace("M", "MiB")),
    ):
        assert option(command, "--nthreads") == "1"
        assert parse_bytes(option(command, "--memory-limit")) < parse_bytes(memory)


def test_hours_follow_from_the_formula() -> None:
    text = (ROOT / "docs" / "operations.md").read_text(encoding="utf-8")
    fixed, each = re.findall(r"observations x \(([\d.]+) s \+ ([\d.]+) us x rows\)", text)[0]
    (table,) = re.findall(r"<!-- computed: hours -->\s+(.*?)\s+<!-- end -->", text, re.DOTALL)
    head, _, *lines = [
        [cell.strip() for cell in line.split("|")[1:-1]] for line in table.split("\n")
    ]
    cores = [1, *(int(cell.split()[0]) for cell in head[2:])]
    for rows, *hours in lines:
        total = 15_000 * (float(fixed) + 1e-6 * float(each) * int(rows.replace(",", ""))) / 3600
        assert hours == [f"{total / count:.3g}" for count in cores]


# ------------------------------------------------------------------------------ settings of Dask


def test_settings_of_dask_exist() -> None:
    packaged = Path(distributed.__file__).with_name("distributed.yaml")
    known = yaml.safe_load(packaged.read_text(encoding="utf-8"))

    def check(settings: Any, defaults: Any) -> None:
        if isinstance(settings, dict):
            for key, value in settings.items():
                check(value, defaults[key])

    check(read("dask.yaml"), known)


def test_environment_agrees_with_settings_of_dask() -> None:
    env = {item.name: item.value for container in CONTAINERS for item in container.env}
    assert all(name.startswith("DASK_") for name in env)

    def hyphens(tree: Any) -> Any:
        if not isinstance(tree, dict):
            return tree
        return {key.replace("_", "-"): hyphens(value) for key, value in tree.items()}

    expected = read("dask.yaml")
    # What the dashboard keeps is in the image alone; on Kubernetes the operator fills places again.
    del expected["distributed"]["worker"]["profile"], expected["distributed"]["admin"]
    del expected["distributed"]["deploy"]
    assert hyphens(dask.config.collect_env(env)) == expected


def test_processes_of_local_have_the_same_settings() -> None:
    from exod.scheduler.cluster import SETTINGS

    expected = dask.config.expand_environment_variables(read("dask.yaml"))
    for name, value in SETTINGS.items():
        assert dask.config.get(name, config=expected) == value, name


# ------------------------------------------------------------------------------ Kubernetes


def test_kubernetes_names_agree() -> None:
    name = CLUSTER.metadata.name
    service = CLUSTER.spec.scheduler.service
    # The operator names the service after the cluster.
    assert f"tcp://{name}-scheduler:{service.ports[0].port}" == SCHEDULER
    assert service.selector == {
        "dask.org/cluster-name": name,
        "dask.org/component": "scheduler",
    }
    assert option(DRIVER_POD.containers[0].args, "--scheduler") == SCHEDULER
    assert SCHEDULER in DRIVER_POD.init_containers[0].args
    assert AUTOSCALER.spec.cluster == name
    secrets = {source.secret_ref.name for c in CONTAINERS for source in c.env_from}
    assert secrets == {SECRET.metadata.name}
    claims = [v.persistent_volume_claim for pod in PODS for v in pod.volumes]
    assert {claim.claim_name for claim in claims if claim} == {VOLUME.metadata.name}
    exits = [rule.on_exit_codes for rule in JOB.spec.pod_failure_policy.rules if rule.on_exit_codes]
    assert {rule.container_name for rule in exits} == {DRIVER_POD.containers[0].name}


def test_kubernetes_ports_agree() -> None:
    for pod, flags in ((SCHEDULER_POD, ("--port", "--dashboard-address")), (WORKER_POD, ())):
        (container,) = pod.containers
        listening = {option(container.args, flag).strip(":") for flag in flags}
        listening.add(option(container.args, "--dashboard-address").strip(":"))
        assert {str(port.container_port) for port in container.ports} == listening


def test_driver_waits_for_the_workers_that_there_will_be() -> None:
    waits_for = int(DRIVER_POD.init_containers[0].args[-1])
    assert waits_for == CLUSTER.spec.worker.replicas == AUTOSCALER.spec.minimum
    assert AUTOSCALER.spec.maximum <= 3 * AUTOSCALER.spec.minimum


def test_driver_and_workers_see_the_same_paths() -> None:
    def mounts(container: Container) -> dict[str, str]:
        return {mount.name: mount.mount_path for mount in container.volume_mounts}

    assert mounts(WORKER_POD.containers[0]) == mounts(DRIVER_POD.containers[0])
    assert SERVICES["exod-worker"]["volumes"] == SERVICES["driver"]["volumes"]


def test_no_credentials() -> None:
    assert all("REPLACE_ME" in value for value in SECRET.string_data.values())
    for path in DEPLOY.iterdir():
        if path.is_file() and path.name != "secret.example.yaml":
            assert not re.search("(?i)secret_access_key|password", path.read_text(encoding="utf-8"))


def test_objects_fit_the_definitions_of_the_operator() -> None:
    jsonschema = pytest.importorskip("jsonschema")
    package = importlib.util.find_spec("dask_kubernetes")
    if package is None or not package.submodule_search_locations:
        pytest.skip("dask-kubernetes, which has the definitions, is not installed")
    (definitions,) = Path(package.submodule_search_locations[0]).rglob("helm/**/crds")

    def strict(schema: Any) -> Any:
        """Refuse fields that the API server would drop or refuse."""
        if isinstance(schema, list):
            return [strict(item) for item in schema]
        if not isinstance(schema, dict):
            return schema
        found = {key: strict(value) for key, value in schema.items()}
        if "properties" in schema and not schema.get("x-kubernetes-preserve-unknown-fields"):
            found.setdefault("additionalProperties", False)
        return found

    def spec_of(name: str) -> Any:
        text = (definitions / f"{name}.yaml").read_text(encoding="utf-8")
        (version,) = yaml.safe_load(text)["spec"]["versions"]
        return strict(version["schema"]["openAPIV3Schema"]["properties"]["spec"])

    cluster = spec_of("daskcluster")
    jsonschema.validate(read("cluster.yaml")["spec"], cluster)
    jsonschema.validate(read("autoscaler.yaml")["spec"], spec_of("daskautoscaler"))
    pod = cluster["properties"]["worker"]["properties"]["spec"]
    jsonschema.validate(read("driver.yaml")["spec"]["template"]["spec"], pod)
    broken = read("cluster.yaml")["spec"]
    broken["worker"]["spec"]["containers"][0]["readynessProbe"] = {}
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(broken, cluster)


# ------------------------------------------------------------------------------ image and compose


def test_one_image() -> None:
    images = {c.image for c in CONTAINERS} | {s["image"] for s in SERVICES.values()}
    assert images == {IMAGE}
    assert f"--tag {IMAGE} ." in (DEPLOY / "Dockerfile").read_text(encoding="utf-8")
    build = SERVICES["exod-scheduler"]["build"]
    assert (DEPLOY / build["context"]).resolve() == ROOT
    assert (ROOT / build["dockerfile"]).is_file()


def test_dockerfile() -> None:
    names = [name for name, _ in instructions()]
    assert set(names) <= {"FROM", "WORKDIR", "RUN", "COPY", "ENV", "USER", "EXPOSE"} | {
        "ENTRYPOINT",
        "CMD",
    }
    bases = [rest.split()[0] for name, rest in instructions() if name == "FROM"]
    assert all(re.fullmatch(r"python:3\.1[1-9]\S*-slim\S*", base) for base in bases)
    (user,) = [rest for name, rest in instructions() if name == "USER"]
    assert user == f"{PODS[0].security_context.run_as_user}:{PODS[0].security_context.run_as_group}"
    for name, rest in instructions():
        if name in {"ENTRYPOINT", "CMD"}:
            assert isinstance(json.loads(rest), list)
        if name == "RUN" and "pip install" in rest:
            assert "--constraint constraints.txt" in rest


def test_image_copies_what_there_is_and_docker_sees() -> None:
    ignore = (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines()
    seen = {line.removeprefix("!") for line in ignore if line.startswith("!")}
    copied = set()
    for name, rest in instructions():
        if name == "COPY" and not rest.startswith("--from="):
            copied.update(rest.split()[:-1])
    assert copied == seen
    assert all((ROOT / path).exists() for path in copied)


def test_everything_in_the_image_is_pinned() -> None:
    pinned = (ROOT / "constraints.txt").read_text(encoding="utf-8").lower().replace("_", "-")
    for package in ("prometheus-client", "dask-jobqueue", "distributed", "s3fs"):
        assert re.search(rf"^{package}==", pinned, re.MULTILINE)


def test_exposed_ports_are_those_in_use() -> None:
    exposed = {
        int(port) for name, rest in instructions() if name == "EXPOSE" for port in rest.split()
    }
    assert exposed == {port.container_port for c in CONTAINERS for port in c.ports}


def test_compose_names_agree_and_nothing_is_public() -> None:
    for service in SERVICES.values():
        assert set(service.get("depends_on", ())) <= set(SERVICES)
        assert all(port.startswith("127.0.0.1:") for port in service.get("ports", ()))
        assert service["read_only"]
        assert service["cap_drop"] == ["ALL"]
    assert "exod-scheduler" in SERVICES
    assert SCHEDULER in SERVICES["exod-worker"]["command"]
    assert option(SERVICES["driver"]["command"], "--scheduler") == SCHEDULER
    for name in ("exod-scheduler", "exod-worker"):
        port = option(SERVICES[name]["command"], "--dashboard-address")
        assert f"{port}/health" in SERVICES[name]["healthcheck"]["test"][-1]


def test_compose_file_is_valid(tmp_path: Path) -> None:
    docker = shutil.which("docker") or "docker"
    try:
        subprocess.run([docker, "compose", "version"], check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("docker compose is not installed")
    env = os.environ | {"EXOD_DATA": str(tmp_path), "EXOD_RESULTS": str(tmp_path)}
    command = [docker, "compose", "--file", str(DEPLOY / "compose.yaml"), "config", "--quiet"]
    subprocess.run(command, check=True, env=env)


# ------------------------------------------------------------------------------ SLURM


def slurm_script(monkeypatch: pytest.MonkeyPatch, folder: Path, *arguments: str) -> str:
    if importlib.util.find_spec("dask_jobqueue") is None:
        pytest.skip("the extra slurm is not installed")
    monkeypatch.chdir(folder)
    monkeypatch.setattr(dask.config, "config", json.loads(json.dumps(dask.config.config)))
    handler = signal.getsignal(signal.SIGINT)
    main = runpy.run_path(str(DEPLOY / "slurm.py"))["main"]
    signal.signal(signal.SIGINT, handler)  # dask_jobqueue takes it when it is imported.
    program = typer.Typer()
    program.command()(main)
    result = typer.testing.CliRunner().invoke(program, ["--render", *arguments])
    return result.output if result.exit_code else result.stdout


@pytest.mark.filterwarnings("ignore:Port .* is already in use")
def test_slurm_script(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    script = slurm_script(
        monkeypatch, tmp_path, "--workers-per-job", "16", "--walltime", "1-00:00:00", "--queue", "x"
    )
    header = re.findall(r"^#SBATCH (.*)$", script, re.MULTILINE)
    assert {"-p x", "--cpus-per-task=16", "--mem=32G", "-t 1-00:00:00"} <= set(header)
    assert f"export DASK_CONFIG={DEPLOY / 'dask.yaml'}" in script
    *_, command = script.strip().splitlines()
    _, arguments = command.split(" -m distributed.cli.dask_worker ")
    dask_worker.main.make_context("worker", arguments.split())
    assert option(arguments.split(), "--nthreads") == "1"
    assert option(arguments.split(), "--nworkers") == "16"
    assert option(arguments.split(), "--lifetime") == f"{24 * 3600 - 300}s"


@pytest.mark.parametrize("walltime", ["12h", "00:05:00"])
def test_slurm_walltime_is_checked(
    walltime: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    assert "--walltime" in slurm_script(monkeypatch, tmp_path, "--walltime", walltime)


# ------------------------------------------------------------------------------ it starts


def free_ports(count: int) -> list[int]:
    with ExitStack() as stack:
        probes = [stack.enter_context(socket.socket()) for _ in range(count)]
        for probe in probes:
            probe.bind(("127.0.0.1", 0))
        return [probe.getsockname()[1] for probe in probes]


@contextmanager
def started(arguments: list[str], folder: Path) -> Iterator[None]:
    """Run a command of the deployment as `dask` does on this machine."""
    script = "import sys; from dask.__main__ import main; sys.argv[0] = 'dask'; main()"
    env = os.environ | {"DASK_CONFIG": str(DEPLOY / "dask.yaml")}
    with (folder / f"{arguments[0]}.log").open("wb") as log:
        command = [sys.executable, "-c", script, *arguments, "--host", "127.0.0.1"]
        process = start_interruptible(command, cwd=folder, env=env, stdout=log, stderr=log)
        try:
            yield
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(LONGEST)


def fetch(port: int, path: str) -> str:
    answers: list[str] = []

    def ask() -> bool:
        with (
            suppress(OSError),
            urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=LONGEST) as answer,
        ):
            answers.append(answer.read().decode())
        return bool(answers)

    assert wait_until(ask, every=0.2)
    return answers[0]


@pytest.mark.drill
@pytest.mark.slow
def test_scheduler_worker_and_driver_work_together(
    small: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    command: Callable[..., tuple[int, str, str]],
) -> None:
    port, dashboard, metrics = free_ports(3)
    address = f"tcp://127.0.0.1:{port}"
    new = {
        "8786": str(port),
        ":8787": f"127.0.0.1:{dashboard}",
        ":8788": f"127.0.0.1:{metrics}",
        "/tmp": str(tmp_path),
    }
    new |= {"$(DASK_WORKER_NAME)": "worker", SCHEDULER: address, "8": "1", "/data": str(small)}
    new["s3://REPLACE-BUCKET/exod"] = str(tmp_path / "archive")

    def here(container: Container) -> list[str]:
        return [new.get(argument, argument) for argument in container.args[1:]]

    with ExitStack() as stack:
        stack.enter_context(started(here(SCHEDULER_POD.containers[0]), tmp_path))
        worker = here(WORKER_POD.containers[0])
        stack.enter_context(started([*worker[:1], address, *worker[1:]], tmp_path))
        _, program, *arguments = here(DRIVER_POD.init_containers[0])
        monkeypatch.setattr(sys, "argv", ["-c", *arguments])
        exec(compile(program, "<wait for workers>", "exec"), {})
        for probed in (dashboard, metrics):
            assert fetch(probed, "/health") == "ok"
            assert fetch(probed, "/metrics")
        code, printed, _ = command(*here(DRIVER_POD.containers[0]))
    assert code == 0, printed
    assert "2 observations" in printed
