"""What Configuration files may say, and what holds without them; they are read in `configuration_files.py`."""

from __future__ import annotations

from typing import Final

from msgspec import Struct

DEFAULT_SAMPLING: Final = 0.0001
DEFAULT_FEATURES: Final = ("HotReload", "WorkflowsRemoteActivityReminder")


class ConfigurationError(Exception):
    """The sidecar cannot start with these files; the text is what daprd's last log line says after its beginning."""


class Otel(Struct, frozen=True):
    endpoint: str = ""
    protocol: str = ""
    is_secure: bool = True
    headers: tuple[str, ...] = ()
    timeout: float | None = None

    def __repr__(self) -> str:
        return f"Otel(endpoint={self.endpoint!r})"  # the headers carry keys


class Tracing(Struct, frozen=True):
    sampling_rate: str = ""  # as written; `ratio` is its number
    stdout: bool = False
    zipkin_endpoint: str = ""
    otel: Otel = Otel()

    @property
    def ratio(self) -> float:
        try:
            return min(max(float(self.sampling_rate), 0.0), 1.0)
        except ValueError:
            return DEFAULT_SAMPLING


class LabelRule(Struct, frozen=True):
    """Values of this label are rewritten: each (replacement, regular expression) in turn."""

    metric: str
    label: str
    patterns: tuple[tuple[str, str], ...]


class Metrics(Struct, frozen=True):
    enabled: bool = True
    increased_cardinality: bool = True
    path_matching: tuple[str, ...] = ()
    exclude_verbs: bool = False
    latency_buckets: tuple[int, ...] = ()  # () = the default ones
    record_error_codes: bool = False
    rules: tuple[LabelRule, ...] = ()


class ApiLogging(Struct, frozen=True):
    enabled: bool = False
    obfuscate_urls: bool = False
    omit_health_checks: bool = False


class ApiRule(Struct, frozen=True):
    """One entry of an API allow or deny list, as written."""

    name: str
    version: str
    protocol: str

    def __str__(self) -> str:
        return f"{self.name}.{self.version} ({self.protocol})"


class SecretScope(Struct, frozen=True):
    store: str
    default_access: str = ""
    allowed: frozenset[str] = frozenset()
    denied: frozenset[str] = frozenset()


class Configuration(Struct, frozen=True):
    """What all files together say; without files, the defaults."""

    tracing: Tracing = Tracing()
    metrics: Metrics = Metrics()
    api_logging: ApiLogging = ApiLogging()
    api_allowed: tuple[ApiRule, ...] = ()
    api_denied: tuple[ApiRule, ...] = ()
    features: tuple[str, ...] = DEFAULT_FEATURES  # those that are switched on
    secret_scopes: tuple[SecretScope, ...] = ()
    denied_components: tuple[str, ...] = ()
    unsupported: tuple[str, ...] = ()  # what is written in the files and has no effect here, each with its place
