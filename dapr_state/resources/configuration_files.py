"""Configuration files (`--config`): read, filled in from the environment, merged and checked as daprd does."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

from dapr_state.resources.configuration import (
    DEFAULT_FEATURES,
    ApiLogging,
    ApiRule,
    Configuration,
    ConfigurationError,
    LabelRule,
    Metrics,
    Otel,
    SecretScope,
    Tracing,
)
from dapr_state.resources.decoding import BOOL, DURATION, INT, TEXT, DecodeError, Fields, ListOf, MapOf, decode

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

# Those whose switch means something here, or whose effect is there anyway
_KNOWN_FEATURES: Final = frozenset({*DEFAULT_FEATURES, "ActorStateTTL"})

# What Go's os.ExpandEnv takes for a variable: ${name}, $name, or $ and one special character. `${` without its end,
# `${}` and unset variables vanish; a $ before anything else stays.
_VARIABLE: Final = re.compile(r"\$(?:\{([^}]*)\}|([*#$@!?\-0-9])|([A-Za-z_][A-Za-z0-9_]*)|\{)")

_METRIC: Final = Fields(
    "config.MetricSpec",
    {
        "enabled": BOOL,
        "recordErrorCodes": BOOL,
        "latencyDistributionBuckets": ListOf(INT),
        "http": Fields(
            "config.MetricHTTP", {"increasedCardinality": BOOL, "pathMatching": ListOf(TEXT), "excludeVerbs": BOOL}
        ),
        "rules": ListOf(
            Fields(
                "config.MetricsRule",
                {
                    "name": TEXT,
                    "labels": ListOf(Fields("config.MetricLabel", {"name": TEXT, "regex": MapOf(TEXT)})),
                },
            )
        ),
    },
)
_API_RULES: Final = ListOf(Fields("config.APIAccessRule", {"name": TEXT, "version": TEXT, "protocol": TEXT}))
_HANDLERS: Final = Fields(
    "config.PipelineSpec", {"handlers": ListOf(Fields("config.HandlerSpec", {"name": TEXT, "type": TEXT}))}
)
_SPEC: Final = Fields(
    "config.ConfigurationSpec",
    {
        "tracing": Fields(
            "config.TracingSpec",
            {
                "samplingRate": TEXT,
                "stdout": BOOL,
                "zipkin": Fields("config.ZipkinSpec", {"endpointAddress": TEXT}),
                "otel": Fields(
                    "config.OtelSpec",
                    {
                        "endpointAddress": TEXT,
                        "protocol": TEXT,
                        "isSecure": BOOL,
                        "headers": ListOf(TEXT),
                        "timeout": DURATION,
                    },
                ),
            },
        ),
        "metric": _METRIC,
        "metrics": _METRIC,
        "logging": Fields(
            "config.LoggingSpec",
            {
                "apiLogging": Fields(
                    "config.APILoggingSpec", {"enabled": BOOL, "obfuscateURLs": BOOL, "omitHealthChecks": BOOL}
                )
            },
        ),
        "api": Fields("config.APISpec", {"allowed": _API_RULES, "denied": _API_RULES}),
        "features": ListOf(Fields("config.FeatureSpec", {"name": TEXT, "enabled": BOOL})),
        "secrets": Fields(
            "config.SecretsSpec",
            {
                "scopes": ListOf(
                    Fields(
                        "config.SecretsScope",
                        {
                            "storeName": TEXT,
                            "defaultAccess": TEXT,
                            "allowedSecrets": ListOf(TEXT),
                            "deniedSecrets": ListOf(TEXT),
                        },
                    )
                )
            },
        ),
        "components": Fields("config.ComponentsSpec", {"deny": ListOf(TEXT)}),
        # the rest is read only to be named as not supported
        "httpPipeline": _HANDLERS,
        "appHttpPipeline": _HANDLERS,
        "accessControl": Fields(
            "config.AccessControlSpec", {"defaultAction": TEXT, "policies": ListOf(Fields("config.AppPolicySpec", {}))}
        ),
        "nameResolution": Fields("config.NameResolutionSpec", {"component": TEXT}),
        "mtls": Fields("config.MTLSSpec", {"enabled": BOOL}),
        "wasm": Fields("config.WasmSpec", {"strictSandbox": BOOL}),
        "workflow": Fields("config.WorkflowSpec", {"maxConcurrentWorkflowInvocations": INT}),
    },
)
_FILE: Final = Fields("config.Configuration", {"spec": _SPEC})


def load(paths: Sequence[str], environ: Mapping[str, str]) -> Configuration:
    """Read the files in their order onto one configuration. Raises ConfigurationError."""
    merged: dict[str, Any] = {}
    for path in paths:
        try:
            merged = _onto(merged, _read(path), environ)
        except DecodeError as error:
            raise ConfigurationError(f"error loading configuration: {error} ({path})") from None
    return _build(merged.get("spec") or {})


def parse(text: str, environ: Mapping[str, str]) -> Configuration:
    """What one text says alone. Raises DecodeError and ConfigurationError."""
    return _build(_onto({}, text, environ).get("spec") or {})


def _onto(merged: Mapping[str, Any], text: str, environ: Mapping[str, str]) -> dict[str, Any]:
    return decode(expand(text, environ), _FILE, merged, original=text)


def expand(text: str, environ: Mapping[str, str]) -> str:
    """Fill in $VARIABLE and ${VARIABLE}; what is not set becomes empty."""
    return _VARIABLE.sub(lambda found: environ.get(found[1] or found[2] or found[3] or "", ""), text)


def _read(path: str) -> str:
    try:
        return Path(path).read_text(encoding="utf-8")
    except OSError as error:
        what = "read" if isinstance(error, IsADirectoryError) else "stat"
        reason = str(error.strerror).lower()
        raise ConfigurationError(f"error loading configuration: {what} {path}: {reason}") from None
    except UnicodeDecodeError as error:
        raise ConfigurationError(f"error loading configuration: {path}: {error}") from None


def _build(spec: Mapping[str, Any]) -> Configuration:
    api = spec.get("api") or {}
    return Configuration(
        tracing=_tracing(spec.get("tracing") or {}),
        # `metrics` is the newer spelling: what it says replaces what `metric` says
        metrics=_metrics({**(spec.get("metric") or {}), **_given(spec.get("metrics") or {})}),
        api_logging=_api_logging((spec.get("logging") or {}).get("apiLogging") or {}),
        api_allowed=_api_rules(api.get("allowed")),
        api_denied=_api_rules(api.get("denied")),
        features=_features(spec.get("features") or []),
        secret_scopes=_secret_scopes((spec.get("secrets") or {}).get("scopes") or []),
        denied_components=tuple((spec.get("components") or {}).get("deny") or ()),
        unsupported=tuple(_unsupported(spec)),
    )


def _given(fields: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in fields.items() if value is not None}


def _tracing(fields: Mapping[str, Any]) -> Tracing:
    otel = fields.get("otel") or {}
    zipkin = (fields.get("zipkin") or {}).get("endpointAddress") or ""
    protocol = otel.get("protocol") or ""
    endpoint = otel.get("endpointAddress") or ""
    if zipkin and not (urlsplit(zipkin).scheme and urlsplit(zipkin).netloc):
        raise ConfigurationError(f'failed to setup tracing: invalid collector URL "{zipkin}": no scheme or host')
    if endpoint and protocol and protocol not in {"grpc", "http"}:
        raise ConfigurationError(f"failed to setup tracing: invalid protocol {protocol} provided for Otel endpoint")
    return Tracing(
        sampling_rate=fields.get("samplingRate") or "",
        stdout=bool(fields.get("stdout")),
        zipkin_endpoint=zipkin,
        otel=Otel(
            endpoint,
            protocol,
            otel.get("isSecure") is not False,
            tuple(otel.get("headers") or ()),
            otel.get("timeout"),
        ),
    )


def _metrics(fields: Mapping[str, Any]) -> Metrics:
    http = fields.get("http") or {}
    return Metrics(
        enabled=fields.get("enabled") is not False,
        increased_cardinality=http.get("increasedCardinality") is not False,
        path_matching=tuple(http.get("pathMatching") or ()),
        exclude_verbs=bool(http.get("excludeVerbs")),
        latency_buckets=_buckets(fields.get("latencyDistributionBuckets") or ()),
        record_error_codes=bool(fields.get("recordErrorCodes")),
        rules=tuple(rule for rule in _label_rules(fields) if not _bad_patterns(rule)),
    )


def _label_rules(fields: Mapping[str, Any]) -> Iterator[LabelRule]:
    for rule in fields.get("rules") or ():
        for label in rule.get("labels") or ():
            patterns = tuple((label.get("regex") or {}).items())
            yield LabelRule(rule.get("name") or "", label.get("name") or "", patterns)


def _bad_patterns(rule: LabelRule) -> list[str]:
    bad = []
    for _, pattern in rule.patterns:
        try:
            re.compile(pattern)
        except re.error as error:
            bad.append(f"{pattern!r}: {error}")
    return bad


def _buckets(bounds: Sequence[int]) -> tuple[int, ...]:
    # () stands for the default ones: with a negative bound daprd goes on without any latencies
    return () if any(bound < 0 for bound in bounds) else tuple(sorted({bound for bound in bounds if bound}))


def _api_logging(fields: Mapping[str, Any]) -> ApiLogging:
    return ApiLogging(
        bool(fields.get("enabled")), bool(fields.get("obfuscateURLs")), bool(fields.get("omitHealthChecks"))
    )


def _api_rules(rules: Sequence[Mapping[str, Any]] | None) -> tuple[ApiRule, ...]:
    return tuple(
        ApiRule(rule.get("name") or "", rule.get("version") or "", rule.get("protocol") or "") for rule in rules or ()
    )


def _features(entries: Sequence[Mapping[str, Any]]) -> tuple[str, ...]:
    switches = {entry["name"]: bool(entry.get("enabled")) for entry in entries if entry.get("name")}
    on = [name for name, enabled in switches.items() if enabled]
    return (*on, *(name for name in DEFAULT_FEATURES if name not in switches))


def _secret_scopes(entries: Sequence[Mapping[str, Any]]) -> tuple[SecretScope, ...]:
    scopes: dict[str, SecretScope] = {}
    for entry in entries:
        store, access = entry.get("storeName") or "", entry.get("defaultAccess") or ""
        if store in scopes:
            raise ConfigurationError(
                f"error loading configuration: {store} storeName is repeated in secrets configuration"
            )
        if access.lower() not in {"", "allow", "deny"}:
            raise ConfigurationError(f"error loading configuration: defaultAccess {access} can be either allow or deny")
        scopes[store] = SecretScope(
            store,
            access.lower(),
            frozenset(entry.get("allowedSecrets") or ()),
            frozenset(entry.get("deniedSecrets") or ()),
        )
    return tuple(scopes.values())


def _unsupported(spec: Mapping[str, Any]) -> list[str]:
    """What a user might rely on in vain. Empty sections, which generated files are full of, are not worth a line."""
    found = [
        f"spec.{pipeline}: middleware {handler.get('name', '')} ({handler.get('type', '')}) is not run, "
        "requests pass without it"
        for pipeline in ("httpPipeline", "appHttpPipeline")
        for handler in (spec.get(pipeline) or {}).get("handlers") or ()
    ]
    access = spec.get("accessControl") or {}
    if access.get("policies") or (access.get("defaultAction") or "allow").lower() != "allow":
        found.append("spec.accessControl: there is no service invocation that it could control")
    if (spec.get("mtls") or {}).get("enabled"):
        found.append("spec.mtls: it is --enable-mtls that turns it on")
    found += [f"spec.{name}" for name in ("nameResolution", "wasm", "workflow") if _given(spec.get(name) or {})]
    bounds = [*_list(spec, "metric"), *_list(spec, "metrics")]
    if any(bound < 0 for bound in bounds):
        found.append("spec.metric.latencyDistributionBuckets: a bound is negative, the default ones are used instead")
    found += [
        f"spec.metric.rules: the rule for {rule.metric}, {rule.label} is left out, {problem}"
        for section in ("metric", "metrics")
        for rule in _label_rules(spec.get(section) or {})
        for problem in _bad_patterns(rule)
    ]
    for entry in spec.get("features") or ():
        if entry.get("enabled") and entry.get("name") not in _KNOWN_FEATURES:
            found.append(f"spec.features: {entry.get('name')} changes nothing here")
    return found


def _list(spec: Mapping[str, Any], section: str) -> Sequence[int]:
    return (spec.get(section) or {}).get("latencyDistributionBuckets") or ()
