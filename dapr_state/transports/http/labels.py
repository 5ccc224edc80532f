"""What HTTP metrics call a path and a verb (runtime.md 8): low-cardinality labels."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from dapr_state.transports.http import target

if TYPE_CHECKING:
    from collections.abc import Sequence

# A caller can make up paths: those beyond so many, and longer ones, are counted under an empty label (daprd: keeps all
# of them). Each label is written some forty times when the metrics are read.
MAX_PATHS: Final = 1000
MAX_LABEL: Final = 200  # characters
MAX_KNOWN: Final = 1000  # targets whose label is remembered
MAX_TARGET: Final = 512  # octets of one of these
VERBS: Final = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "CONNECT", "OPTIONS", "TRACE"})

# Nearly all requests: what comes behind the store's name does not change the label
STATE: Final = re.compile(rb"/v1\.0/state/(?!\.)[^/?%+]+(?=[/?]|\Z)")
# and those of actors: neither does an id
_ACTOR_TARGET: Final = re.compile(rb"/v1\.0/actors/(?!\.)([^/?%+]+)/(?!\.)[^/?]+/(?!\.)([^/?%+]+)(?=[/?]|\Z)")
_SUBJECTS: Final = frozenset({"state", "secrets"})  # /version/subject/name: the rest is cut off
_ACTOR: Final = re.compile(r"(/[^/]+/actors/[^/]+)/[^/]+/([^/]+)")
_WORKFLOW: Final = re.compile(r"(/[^/]+/workflows/[^/]+)/[^/]+(?=/(?!start$)|$)(/raiseEvent)?(/[^/]+)?")
# before a pattern of the Configuration, for calls that go through the sidecar
_INVOKE: Final = "/v1.0/invoke/{app_id}/method"


class Labels:
    """`with_path` False gives only those paths a label that a pattern names; `with_verb` False gives verbs none."""

    def __init__(self, *, with_path: bool = True, with_verb: bool = True, patterns: Sequence[str] = ()) -> None:
        self._with_path = with_path
        self._with_verb = with_verb
        self._patterns = _compile(patterns)
        self._known: dict[bytes, str] = {}
        self._labels: set[str] = set()  # that were given

    def path(self, raw_target: bytes) -> str:
        """The label for a request's target, query and all."""
        if self._patterns:
            return self._matched(raw_target)
        if not self._with_path:
            return ""
        if found := STATE.match(raw_target):
            key = found[0]
        elif found := _ACTOR_TARGET.match(raw_target):
            key = b"/v1.0/actors/%b/{id}/%b" % found.groups()
        else:
            key = raw_target.partition(b"?")[0]
        label = self._known.get(key)
        return self._learn(key) if label is None else label

    @property
    def is_by_store(self) -> bool:
        """Whether all targets that begin with the same match of STATE have the same label."""
        return not self._patterns

    def verb(self, method: str) -> str:
        if not self._with_verb:
            return ""
        return method if method in VERBS else "UNKNOWN"

    def _matched(self, raw_target: bytes) -> str:
        path = _clean(raw_target)
        for label, pattern in self._patterns:
            if pattern.fullmatch(path):
                return label
        if not self._with_path:
            return ""
        return self._bounded(shorten(path))

    def _learn(self, key: bytes) -> str:
        label = self._bounded(shorten(_clean(key)))
        if len(key) <= MAX_TARGET:
            if len(self._known) >= MAX_KNOWN:
                self._known.clear()
            self._known[key] = label
        return label

    def _bounded(self, label: str) -> str:
        if label not in self._labels:
            if len(label) > MAX_LABEL or len(self._labels) >= MAX_PATHS:
                return ""
            self._labels.add(label)
        return label


def shorten(path: str) -> str:
    """Cut keys and ids out of a path."""
    parts = path.split("/", 4)
    if len(parts) > 3 and parts[2] in _SUBJECTS:  # noqa: PLR2004  /version/subject/name
        return "/".join(parts[:4])
    if found := _ACTOR.match(path):
        return f"{found[1]}/{{id}}/{found[2]}"
    if (found := _WORKFLOW.fullmatch(path)) and (found[3] or not found[2]):
        event = "/{eventName}" if found[2] else found[3] or ""
        return f"{found[1]}/{{instanceId}}{found[2] or ''}{event}"
    return path


def problem(pattern: str) -> str:
    """Why a pattern cannot be used; empty if it can."""
    try:
        _regex(pattern)
    except ValueError as error:
        return str(error)
    return ""


def _clean(raw_target: bytes) -> str:
    path, _ = target.split(raw_target)
    parts = target.segments(path)
    end = "/" if parts and path.endswith(b"/") else ""
    return "/" + "/".join(map(target.decode, parts)) + end


def _compile(patterns: Sequence[str]) -> list[tuple[str, re.Pattern[str]]]:
    """Of several that match, the one that says most goes first: Go's ServeMux takes the most specific."""
    usable = [f"/{each.lstrip('/')}" for each in patterns if not problem(each)]
    compiled = [(each, re.compile(_regex(prefix + each))) for each in usable for prefix in ("", _INVOKE)]
    return sorted(compiled, key=lambda entry: (-len(re.sub(r"\{[^}]*\}", "", entry[0])), entry[0]))


def _regex(pattern: str) -> str:
    """A pattern of Go's ServeMux: {name} is one segment, {name...} and a last / are the rest, {$} is the end."""
    regex = ""
    for index, segment in enumerate(segments := pattern.lstrip("/").split("/")):
        is_last = index == len(segments) - 1
        if not segment:
            regex += r"(?:/.*)?" if is_last else "/"
        elif segment == "{$}" and is_last:
            regex += "/"
        elif re.fullmatch(r"\{[A-Za-z_]\w*\}", segment):
            regex += r"/[^/]+"
        elif re.fullmatch(r"\{[A-Za-z_]\w*\.\.\.\}", segment) and is_last:
            regex += r"/.*"
        elif "{" in segment or "}" in segment or " " in segment:
            raise ValueError(f"the segment {segment} is neither text nor one {{name}}")
        else:
            regex += "/" + re.escape(segment)
    return regex
