"""The few Kubernetes objects that deploy/dask uses: their fields and what they refer to.

Written by hand, since the schemas of the operator have 300 kB. Where dask-kubernetes is installed,
`test_deploy.py` checks against those as well.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator
from pydantic.alias_generators import to_camel

Name = Annotated[str, Field(pattern=r"^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$")]
Quantity = Annotated[str, Field(pattern=r"^[0-9]+(m|Ki|Mi|Gi|Ti)?$")]
Port = Annotated[int, Field(ge=1, le=65535)]


class Strict(BaseModel):
    """Unknown fields and wrong types are errors, as for the API server."""

    model_config = ConfigDict(extra="forbid", strict=True, alias_generator=to_camel)


class Metadata(Strict):
    name: Name


class Amounts(Strict):
    cpu: Quantity | None = None
    memory: Quantity


class Resources(Strict):
    requests: Amounts
    limits: Amounts


class Env(Strict):
    name: str
    value: str


class NameOf(Strict):
    name: Name


class EnvFrom(Strict):
    secret_ref: NameOf


class ContainerPort(Strict):
    name: Annotated[str, Field(pattern=r"^[a-z0-9-]{1,15}$")]
    container_port: Port


class HttpGet(Strict):
    port: str
    path: str


class Probe(Strict):
    http_get: HttpGet
    initial_delay_seconds: int
    period_seconds: int
    timeout_seconds: int = 1
    failure_threshold: int = 3


class Capabilities(Strict):
    drop: list[str]


class ContainerSecurity(Strict):
    allow_privilege_escalation: Literal[False]
    read_only_root_filesystem: Literal[True]
    capabilities: Capabilities


class VolumeMount(Strict):
    name: Name
    mount_path: str
    read_only: bool = False


class Container(Strict):
    name: Name
    image: str
    image_pull_policy: Literal["IfNotPresent"]
    args: list[str]
    env: list[Env] = []
    env_from: list[EnvFrom] = []
    ports: list[ContainerPort] = []
    readiness_probe: Probe | None = None
    liveness_probe: Probe | None = None
    resources: Resources
    security_context: ContainerSecurity
    volume_mounts: list[VolumeMount]

    @model_validator(mode="after")
    def probes_ask_a_port_that_there_is(self) -> Container:
        names = {port.name for port in self.ports}
        for probe in (self.readiness_probe, self.liveness_probe):
            assert probe is None or probe.http_get.port in names
        return self


class SeccompProfile(Strict):
    type: Literal["RuntimeDefault"]


class PodSecurity(Strict):
    run_as_non_root: Literal[True]
    run_as_user: Annotated[int, Field(ge=1)]
    run_as_group: Annotated[int, Field(ge=1)]
    fs_group: int
    seccomp_profile: SeccompProfile


class Claim(Strict):
    claim_name: Name
    read_only: bool


class Volume(Strict):
    name: Name
    empty_dir: dict[str, Any] | None = None
    persistent_volume_claim: Claim | None = None


class Pod(Strict):
    automount_service_account_token: Literal[False]
    security_context: PodSecurity
    restart_policy: Literal["Never"] | None = None
    termination_grace_period_seconds: int | None = None
    init_containers: list[Container] = []
    containers: Annotated[list[Container], Field(min_length=1)]
    volumes: list[Volume]

    @model_validator(mode="after")
    def mounts_are_of_volumes_that_there_are(self) -> Pod:
        names = {volume.name for volume in self.volumes}
        for container in [*self.init_containers, *self.containers]:
            assert {mount.name for mount in container.volume_mounts} <= names
        return self


class ServicePort(Strict):
    name: str
    protocol: Literal["TCP"]
    port: Port
    target_port: str


class Service(Strict):
    type: Literal["ClusterIP"]
    selector: dict[str, str]
    ports: list[ServicePort]


class SchedulerSpec(Strict):
    spec: Pod
    service: Service

    @model_validator(mode="after")
    def service_leads_to_ports_that_there_are(self) -> SchedulerSpec:
        names = {port.name for container in self.spec.containers for port in container.ports}
        assert {port.target_port for port in self.service.ports} <= names
        return self


class WorkerSpec(Strict):
    replicas: int
    spec: Pod


class ClusterSpec(Strict):
    scheduler: SchedulerSpec
    worker: WorkerSpec


class DaskCluster(Strict):
    api_version: Literal["kubernetes.dask.org/v1"]
    kind: Literal["DaskCluster"]
    metadata: Metadata
    spec: ClusterSpec


class AutoscalerSpec(Strict):
    cluster: Name
    minimum: int
    maximum: int


class DaskAutoscaler(Strict):
    api_version: Literal["kubernetes.dask.org/v1"]
    kind: Literal["DaskAutoscaler"]
    metadata: Metadata
    spec: AutoscalerSpec


class ExitCodes(Strict):
    container_name: Name
    operator: Literal["In", "NotIn"]
    values: list[int]


class Condition(Strict):
    type: str
    status: Literal["True", "False"]


class Rule(Strict):
    action: Literal["FailJob", "Ignore", "Count"]
    on_exit_codes: ExitCodes | None = None
    on_pod_conditions: list[Condition] | None = None


class FailurePolicy(Strict):
    rules: list[Rule]


class Template(Strict):
    spec: Pod


class JobSpec(Strict):
    backoff_limit: int
    pod_failure_policy: FailurePolicy
    template: Template


class Job(Strict):
    api_version: Literal["batch/v1"]
    kind: Literal["Job"]
    metadata: Metadata
    spec: JobSpec


class Secret(Strict):
    api_version: Literal["v1"]
    kind: Literal["Secret"]
    metadata: Metadata
    type: Literal["Opaque"]
    string_data: dict[str, str]


class Storage(Strict):
    storage: Quantity


class StorageRequest(Strict):
    requests: Storage


class ClaimSpec(Strict):
    access_modes: list[Literal["ReadWriteMany", "ReadOnlyMany"]]
    resources: StorageRequest


class PersistentVolumeClaim(Strict):
    api_version: Literal["v1"]
    kind: Literal["PersistentVolumeClaim"]
    metadata: Metadata
    spec: ClaimSpec
