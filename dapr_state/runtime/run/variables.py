"""Variables in a run file: .env files, and ${NAME} in its texts where that is asked for."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

_LINE: Final = re.compile(
    r"""\s*(?:export\s+)?([A-Za-z_][A-Za-z0-9_]*)\s*=\s*"""
    r"""(?:"((?:[^"\\]|\\.)*)"\s*(?:\#.*)?|'([^']*)'\s*(?:\#.*)?|([^"'].*?)?(?:\s+\#.*|\s*))"""
)
_ESCAPED: Final = re.compile(r"\\(.)")
_REFERENCE: Final = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)(?::-([^}]*))?\}")


def of_text(text: str) -> dict[str, str]:
    """What a .env file says. Raises ValueError with the line that says nothing."""
    found: dict[str, str] = {}
    for number, line in enumerate(text.splitlines(), start=1):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        if not (matched := _LINE.fullmatch(line)):
            raise ValueError(f"line {number} is no NAME=value")
        name, in_double, in_single, plain = matched.groups()
        found[name] = in_single or plain or _ESCAPED.sub(r"\1", in_double or "")
    return found


def filled(document: Any, environ: Mapping[str, str]) -> Any:
    """With ${NAME} and ${NAME:-otherwise} in its texts replaced. Raises ValueError for one that is not set."""
    if isinstance(document, dict):
        return {name: filled(value, environ) for name, value in document.items()}
    if isinstance(document, list):
        return [filled(value, environ) for value in document]
    return _REFERENCE.sub(lambda found: _value(found, environ), document) if isinstance(document, str) else document


def _value(found: re.Match[str], environ: Mapping[str, str]) -> str:
    name, otherwise = found.groups()
    value = environ.get(name) or otherwise
    if value is None:
        raise ValueError(f"{name} is not set, and ${{{name}}} stands in a text")
    return value
