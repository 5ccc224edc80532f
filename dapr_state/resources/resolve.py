"""What a property's text becomes: values, the environment, secrets and templates."""

from __future__ import annotations

import logging
import re
from typing import TYPE_CHECKING

from msgspec import Struct, field

from dapr_state.golang.quoting import unquote
from dapr_state.resources.component import Component
from dapr_state.resources.properties import Properties, PropertiesError
from dapr_state.resources.secrets import SecretStoreError, is_own_variable

if TYPE_CHECKING:
    from collections.abc import Mapping

    from dapr_state.resources.component import SecretKeyRef
    from dapr_state.resources.manifest import Item, Manifest
    from dapr_state.resources.secrets import SecretStore

_TEMPLATE = re.compile(r"\{(?:uuid|podName|namespace|appID)\}")

log = logging.getLogger("dapr.runtime.processor.secret")


class Environment(Struct, frozen=True):
    """What the components of a sidecar may refer to."""

    app_id: str
    environ: Mapping[str, str] = field(default_factory=dict)

    def __repr__(self) -> str:
        return f"Environment(app_id={self.app_id!r})"  # the variables may be secrets

    def variable(self, name: str) -> str | None:
        """Read a variable for a component: empty when it is unset, None when components may not read it."""
        allowed = self.environ.get("DAPR_ENV_KEYS", "").upper().split()
        if " " in name or is_own_variable(name) or (allowed and name.upper() not in allowed):
            return None
        return self.environ.get(name, "")

    def substitute(self, template: str) -> str | None:
        """Fill in one template; None when there is nothing to fill in."""
        match template:
            case "{uuid}":
                from uuid import uuid4  # noqa: PLC0415 - 2 ms that few components need

                return str(uuid4())
            case "{appID}":
                return self.app_id
            case "{namespace}":
                # not the namespace alone: what users wrote for daprd relies on it
                return f"{self.environ.get('NAMESPACE') or 'default'}.{self.app_id}"
        return self.environ.get("POD_NAME") or None


def resolve(manifest: Manifest, environment: Environment, secrets: SecretStore | None) -> Component:
    """Build the component. What has no value is logged and stays empty; a template without one is a PropertiesError.

    `secrets` is the store that the component names, or None when it names none.
    """
    return Component(
        name=manifest.name,
        type=manifest.type,
        version=manifest.version,
        properties=Properties(
            (item.name, _fill(item.name, _text(item, manifest, environment, secrets), environment))
            for item in manifest.items
        ),
        secret_keys={item.name.lower(): item.secret_ref for item in manifest.items if item.secret_ref},
        secret_store=manifest.secret_store,
        ignore_errors=manifest.ignore_errors,
        init_timeout=manifest.init_timeout,
        scopes=manifest.scopes,
        namespace=manifest.namespace,
        source=manifest.source,
    )


def _text(item: Item, manifest: Manifest, environment: Environment, secrets: SecretStore | None) -> str:
    if item.from_environment:
        variable = environment.variable(item.env_ref)
        if variable is None:
            log.warning(
                "Component %s references an env variable that isn't allowed: %s (%s)",
                manifest.name,
                item.env_ref,
                manifest.source,
            )
        return unquote(variable or "")
    secret = _secret(item.secret_ref, manifest, secrets) if item.secret_ref else ""
    # a secret without a text leaves the value that is written beside it
    return unquote(secret) if secret else item.value or ""


def _secret(ref: SecretKeyRef, manifest: Manifest, secrets: SecretStore | None) -> str:
    if secrets is None:
        log.warning(
            "Component %s references a secret store that isn't loaded: %s (%s)",
            manifest.name,
            manifest.secret_store or "auth.secretStore is empty",
            manifest.source,
        )
        return ""
    try:
        return secrets.get(ref.name).get(ref.key, "")
    except SecretStoreError as error:
        log.error("Error getting secret: %s (Component %s, %s)", error, manifest.name, manifest.source)  # noqa: TRY400 - no traceback: the text says it all
        return ""


def _fill(name: str, text: str, environment: Environment) -> str:
    def fill_one(template: re.Match[str]) -> str:
        filling = environment.substitute(template[0])
        if filling is None:
            raise PropertiesError(
                f"failed to parse metadata: property {name} refers to {template[0]} but {template[0][1:-1]} is not set"
            )
        return filling

    return _TEMPLATE.sub(fill_one, text)
