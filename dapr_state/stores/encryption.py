"""Whether a component's values are encrypted at rest, and with which keys."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from msgspec import Struct

from dapr_state.resources.properties import PropertiesError

if TYPE_CHECKING:
    from dapr_state.resources.component import Component

PRIMARY: Final = "primaryEncryptionKey"
SECONDARY: Final = "secondaryEncryptionKey"
_SIZES: Final = (16, 24, 32)  # AES-128, AES-192, AES-256


class UnusableKeyError(PropertiesError):
    """A key that is asked for and cannot be used."""


class Key(Struct, frozen=True):
    """`name` is the secret's name, which is written beside every value; "" for a key that came from no secret."""

    name: str
    secret: bytes

    def __repr__(self) -> str:
        return f"Key(name={self.name!r})"  # not the secret


def keys(component: Component) -> tuple[Key, ...]:
    """The key that new values are written with, then the older one; none where daprd would not encrypt.

    Raises UnusableKeyError.
    """
    if not component.secret_store:
        return ()
    primary, secondary = _key(component, PRIMARY), _key(component, SECONDARY)
    if primary is None:
        return ()
    return (primary, secondary) if secondary else (primary,)


def _key(component: Component, name: str) -> Key | None:
    if name not in tuple(component.properties):  # these two names are matched as they are written, unlike the others
        return None
    text, secret_name = component.properties[name], _secret_name(component, name)
    if text:
        return Key(secret_name, _decode(name, text))
    if secret_name:
        raise UnusableKeyError(f"could not get encryption key from secret {secret_name}")
    return None


def _secret_name(component: Component, name: str) -> str:
    reference = component.secret_keys.get(name.lower())
    return reference.name if reference else ""


def _decode(name: str, text: str) -> bytes:
    try:
        secret = bytes.fromhex(text)
    except ValueError:  # whose text would quote the key
        raise UnusableKeyError(f"{name}: the key is not written in hexadecimal digits") from None
    if len(secret) not in _SIZES:
        raise UnusableKeyError(f"{name}: the key has {len(secret)} bytes; AES keys have 16, 24 or 32")
    return secret


def why_not(component: Component) -> str:
    """What stands in the way of encryption that the component seems to ask for, and the remedy; "" if it does not."""
    asked = [name for name in component.properties if name.lower() in {PRIMARY.lower(), SECONDARY.lower()}]
    if not asked:
        return ""
    for name in asked:
        if name not in {PRIMARY, SECONDARY}:
            right = PRIMARY if name.lower() == PRIMARY.lower() else SECONDARY
            return f"the field {name} must be spelled {right}"
    if PRIMARY not in asked:
        return f"{SECONDARY} only reads old values; give the key to write with as {PRIMARY}"
    if not component.secret_store:
        return (
            f"{PRIMARY} counts only in a component that names the secret store it comes from;"
            " add `auth: {secretStore: <name>}`, beside spec"
        )
    return f"{PRIMARY} is empty"
