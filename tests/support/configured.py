"""Sidecars with Configuration files, and what is asked of their metrics port."""

from __future__ import annotations

from typing import TYPE_CHECKING

from prometheus_client.parser import text_string_to_metric_families

from tests.support.components import component
from tests.support.http import ask
from tests.support.sidecar import GRPC_SERVERS, Daprd, Sidecar

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from prometheus_client import Metric

    from tests.support.http import Answer

TOKEN = "s3cret-token"
MEMORY = component("mem", "state.in-memory")


def write_configurations(folder: Path, texts: Sequence[str]) -> list[str]:
    """Write one file for each text, and return the flags that name them."""
    flags = []
    for number, text in enumerate(texts):
        path = folder / f"configuration-{number}.yaml"
        path.write_text(text)
        flags += ["--config", str(path)]
    return flags


def ours(
    folder: Path, *texts: str, token: str = "", flags: Sequence[str] = (), grpc_server: str = GRPC_SERVERS[0]
) -> Sidecar:
    """Our sidecar with a store in memory, these Configuration files and this token."""
    environment = {"DAPR_API_TOKEN": token} if token else {}
    flags = [*write_configurations(folder, texts), *flags]
    return Sidecar(folder, [MEMORY], flags=flags, environment=environment, grpc_server=grpc_server)


def the_real(binary: Path, folder: Path, *texts: str, token: str = "", flags: Sequence[str] = ()) -> Daprd:
    """The same with daprd."""
    environment = {"DAPR_API_TOKEN": token} if token else {}
    flags = [*write_configurations(folder, texts), *flags]
    return Daprd(binary, folder, [MEMORY], flags=flags, environment=environment)


def metrics_port(sidecar: Sidecar) -> int:
    return int(sidecar.command[sidecar.command.index("--metrics-port") + 1])


def page(sidecar: Sidecar) -> Answer:
    return ask(metrics_port(sidecar), "GET", "/metrics")


def metrics(sidecar: Sidecar) -> dict[str, Metric]:
    """The page as the official client reads it, by metric name."""
    return {metric.name: metric for metric in text_string_to_metric_families(page(sidecar).body.decode())}


def samples(sidecar: Sidecar, name: str) -> dict[tuple[str, ...], float]:
    """All samples of one series name: label values in the order of their names, without the app id, to the number."""
    found = {}
    for metric in metrics(sidecar).values():
        for sample in metric.samples:
            # daprd's counters are not called ..._total; the client gives every counter that end
            if sample.name in {name, f"{name}_total"}:
                labels = sorted((label, value) for label, value in sample.labels.items() if label != "app_id")
                found[tuple(value for _, value in labels)] = sample.value
    return found
