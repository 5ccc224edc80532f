"""The credentials that the options ask for: fetched before anything is opened, as others may need them at once."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import TYPE_CHECKING

from dapr_state.runtime.application import DEFAULT_NAMESPACE

if TYPE_CHECKING:
    from dapr_state.runtime.options import Options
    from dapr_state.security.credentials import Credentials

log = logging.getLogger("dapr.runtime.security")


class CredentialsError(Exception):
    """There is nothing that other sidecars could trust."""


def credentials(options: Options) -> Credentials | None:
    """None without mTLS, and where there is nobody to show it to. Raises CredentialsError."""
    if not options.mtls:
        return None
    if not (options.placement_addresses or options.scheduler_addresses):
        log.info("Neither placement nor scheduler is given: --enable-mtls has nothing to secure")
        return None
    # certificates are some MB that a sidecar alone never needs
    from dapr_state.security.credentials import AnchorsError, Credentials, Names  # noqa: PLC0415

    names = Names(
        options.app_id,
        options.namespace or DEFAULT_NAMESPACE,
        options.control_plane_namespace,
        options.control_plane_trust_domain,
    )
    token_file = Path(options.sentry_token_file) if options.sentry_token_file else None
    anchors = Path(options.trust_anchors_file) if options.trust_anchors_file else options.trust_anchors
    if options.environment.get("SENTRY_LOCAL_IDENTITY", options.app_id) != options.app_id:
        log.warning(
            "SENTRY_LOCAL_IDENTITY has no effect: placement refuses certificates of another name than the app id"
        )
    try:
        return Credentials(names, anchors, options.sentry_address, token_file)
    except AnchorsError as error:
        raise CredentialsError(error) from None
