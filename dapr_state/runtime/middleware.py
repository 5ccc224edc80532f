"""From options and Configuration to what guards the requests: decided once, before the first server starts."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from dapr_state.observability.apilog import ApiLog
from dapr_state.observability.metrics import Metrics
from dapr_state.observability.tap import Tap
from dapr_state.runtime import tracing
from dapr_state.security import access
from dapr_state.security.access import GrpcAccess, HttpAccess
from dapr_state.security.origins import Origins
from dapr_state.security.tokens import ApiToken
from dapr_state.transports.http import labels
from dapr_state.transports.http.labels import Labels
from dapr_state.transports.middleware import Middleware

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from dapr_state.resources.component import Component
    from dapr_state.resources.configuration import Configuration
    from dapr_state.resources.manifest import Manifest
    from dapr_state.runtime.options import Options

log = logging.getLogger("dapr.runtime")


def announce(options: Options, configuration: Configuration) -> None:
    """Say what the Configuration turns on, and what of it, and of the flags, has no effect."""
    if not options.config_paths:
        log.info("loading default configuration")
    log.info("Enabled features: %s", " ".join(configuration.features))
    if options.idle_flags:
        log.warning("Flags without effect: %s", ", ".join(options.idle_flags))
    for text in configuration.unsupported:
        log.warning("Configuration not supported: %s", text)
    for text in access.warnings(configuration.api_allowed, configuration.api_denied):
        log.warning("%s", text)
    for pattern in configuration.metrics.path_matching:
        if problem := labels.problem(pattern):
            log.warning("spec.metric.http.pathMatching: %s is left out: %s", pattern, problem)


def of(options: Options, configuration: Configuration) -> Middleware:
    metrics = _metrics(options, configuration) if options.metrics and configuration.metrics.enabled else None
    return Middleware(
        token=ApiToken(options.api_token) if options.api_token else None,
        origins=origins(options, () if options.unix_domain_socket else options.listen_addresses),
        grpc_access=GrpcAccess(configuration.api_allowed, configuration.api_denied),
        http_access=HttpAccess(configuration.api_allowed, configuration.api_denied),
        metrics=metrics,
        http_labels=Labels(
            with_path=configuration.metrics.increased_cardinality,
            with_verb=not configuration.metrics.exclude_verbs,
            patterns=configuration.metrics.path_matching,
        ),
        api_log=_api_log(options, configuration),
        tracer=tracing.tracer(options.app_id, configuration.tracing, options.environment),
        echoes_context=not tracing.is_off(configuration.tracing),
        tap=None if options.console == "off" else Tap(),
        count_errors=metrics.error if metrics and configuration.metrics.record_error_codes else None,
    )


def origins(options: Options, listen_addresses: Iterable[str]) -> Origins:
    return Origins(
        listen_addresses,
        allowed_hosts=options.allowed_hosts,
        allowed_origins=options.allowed_origins,
        has_token=bool(options.api_token),
    )


def _metrics(options: Options, configuration: Configuration) -> Metrics:
    spec = configuration.metrics
    return Metrics(
        options.app_id,
        options.namespace,
        latencies=spec.latency_buckets,
        all_responses=spec.increased_cardinality,
        rules=[(rule.metric, rule.label, rule.patterns) for rule in spec.rules],
    )


def _api_log(options: Options, configuration: Configuration) -> ApiLog | None:
    spec = configuration.api_logging
    # the flag, when it was given, has the last word
    if not (spec.enabled if options.api_logging is None else options.api_logging):
        return None
    return ApiLog(obfuscate=spec.obfuscate_urls, omit_health=spec.omit_health_checks)


def allows(configuration: Configuration, component: Component | Manifest) -> bool:
    """Whether `spec.components.deny` lets a component start."""
    denied = configuration.denied_components
    if not denied:
        return True
    if component.type in denied or f"{component.type}/{component.version}" in denied:
        log.warning(
            "component '%s' cannot be loaded because components of type '%s' are not allowed",
            component.name,
            component.display,
        )
        return False
    return bool(component.version)  # as daprd: where something is denied, what has no version is left out, and unsaid


def count_component(layers: Middleware, component: Component | Manifest, reasons: Sequence[str]) -> None:
    """Note in the metrics what became of a component: the reasons that it failed for; none: it is loaded."""
    if layers.metrics is None:
        return
    if not reasons:
        layers.metrics.component_loaded(component.type)
    for reason in reasons:  # once each; daprd counts `init` twice for most failures
        layers.metrics.component_failed(component.type, component.name, reason)
