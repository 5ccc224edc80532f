"""What `dapr-state check` finds in resources: all that a start would refuse or pass over, told without starting."""

from __future__ import annotations

import asyncio
import logging
import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

import yaml as pyyaml
from msgspec import structs

from dapr_state.golang import yaml
from dapr_state.resiliency.policies import Policies
from dapr_state.resources import configuration_files, loader, manifest, resiliency, secrets
from dapr_state.resources.component import Source
from dapr_state.resources.configuration import ConfigurationError
from dapr_state.resources.decoding import DecodeError
from dapr_state.resources.loader import LoadError
from dapr_state.resources.properties import Properties
from dapr_state.resources.resolve import Environment
from dapr_state.runtime.components import ComponentError, Components, in_time

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from dapr_state.resources.component import Component
    from dapr_state.resources.manifest import Manifest
    from dapr_state.resources.resiliency import Reading
    from dapr_state.runtime.options import Options

ERROR: Final = "error"  # the sidecar would not start with it, or not serve what is meant
NOTE: Final = "note"  # it would, and do less than the file says

_CONFIGURATION: Final = "Configuration"
_KINDS: Final = {_CONFIGURATION: "a Configuration has an effect only when --config names its file"}
_LINE: Final = re.compile(r"line (\d+): (.*)")
_QUOTED: Final = re.compile(r'"[^"]*"|`[^`]*`')
_PASSWORD: Final = re.compile(r"password=(\S+)|:([^:@/]+)@")
_SHORTEST: Final = 3  # characters of a value that is looked for in texts: a "1" stands in many for itself
_SECRET: Final = re.compile("password|secret|token|key|user|connectionstring|cert", re.IGNORECASE)  # in a field's name
_WORD: Final = re.compile("[a-z]+")  # as texts are made of: the store called redis is no value of `host: redis`
_HIDDEN: Final = "…"


@dataclass(frozen=True, slots=True, order=True)
class Finding:
    """One line of the report."""

    path: str
    line: int
    kind: str
    text: str

    def __str__(self) -> str:
        return f"{self.path}:{self.line}: {self.kind}: {' '.join(self.text.split())}"


@dataclass(frozen=True, slots=True)
class _Document:
    """One of a file's documents, as it is written."""

    source: Source
    first_line: int
    text: str

    def finding(self, kind: str, text: str, path: str = "") -> Finding:
        return Finding(self.source.path, self.line(path), kind, text)

    def line(self, path: str) -> int:
        try:
            return yaml.line_of(self.text, path, self.first_line)
        except (pyyaml.YAMLError, RecursionError):
            return self.first_line


def run(options: Options, *, connect: bool) -> list[Finding]:
    """All findings, by file and line; with `connect` the stores are asked as well."""
    findings = [*_configurations(options.config_paths, options.environment)]
    documents: dict[Source, _Document] = {}
    manifests: list[Manifest] = []
    resiliencies: list[Reading] = []
    for folder in options.resources_paths:
        for document in _documents(folder, findings):
            documents[document.source] = document
            manifests += _manifest(document, options.environment, findings, resiliencies)
    findings += _policies([each for each in resiliencies if each.applies_to(options.app_id)], documents)
    findings += asyncio.run(_Check(options, documents, connect=connect).all(manifests))
    return sorted(set(findings))


def _configurations(paths: Sequence[str], environ: Mapping[str, str]) -> Iterator[Finding]:
    alone: list[Finding] = []
    for path in paths:
        try:
            text = Path(path).read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            alone.append(Finding(path, 1, ERROR, _reason(error)))
            continue
        alone += _configuration(_Document(Source(path), 1, text), environ)
    yield from alone
    if any(finding.kind == ERROR for finding in alone):
        return
    try:
        configuration_files.load(paths, environ)
    except ConfigurationError as error:  # only together
        yield Finding(paths[-1], 1, ERROR, _unquoted(str(error)))


def _configuration(document: _Document, environ: Mapping[str, str]) -> Iterator[Finding]:
    try:
        read = configuration_files.parse(document.text, environ)
    except DecodeError as error:
        for line, problem in _LINE.findall(str(error)) or [(1, str(error))]:
            path = document.source.path
            yield Finding(path, document.first_line - 1 + int(line), ERROR, _unquoted(problem))
    except ConfigurationError as error:
        yield document.finding(ERROR, _unquoted(str(error)), "spec")
    else:
        for each in read.unsupported:
            yield document.finding(NOTE, f"{_unquoted(each)}: has no effect here", each.partition(":")[0])


def _documents(folder: str, findings: list[Finding]) -> Iterator[_Document]:
    try:
        paths = loader.files_in(Path(folder))
    except LoadError as error:
        findings.append(Finding(folder, 1, ERROR, str(error)))
        return
    for path in paths:
        if path.suffix.lower() not in loader.SUFFIXES:
            findings.append(Finding(str(path), 1, NOTE, "is not loaded: its name does not end in .yaml or .yml"))
            continue
        try:
            text = loader.text_of(path)
        except (OSError, UnicodeDecodeError) as error:
            findings.append(Finding(str(path), 1, ERROR, _reason(error)))
            continue
        for number, (line, document) in enumerate(yaml.split(text), start=1):
            yield _Document(Source(str(path), number), line, document)


def _manifest(
    document: _Document, environ: Mapping[str, str], findings: list[Finding], resiliencies: list[Reading]
) -> Iterator[Manifest]:
    """The component that a document is; of any other, what there is to say."""
    try:
        parsed = yaml.parse(document.text, document.first_line)
        if manifest.kind_of(parsed) == manifest.RESILIENCY:
            resiliencies.append(resiliency.read(parsed, document.source))
            return
        read = manifest.read(parsed, document.source)
    except yaml.DocumentError as error:
        findings.append(Finding(document.source.path, error.line, ERROR, error.reason))
    except manifest.ManifestError as error:
        findings.append(document.finding(ERROR, str(error), error.path))
    else:
        if read is not None:
            yield read
        elif parsed is not None:
            findings += _no_component(document, parsed, environ)


def _no_component(document: _Document, parsed: Mapping[str, object], environ: Mapping[str, str]) -> Iterator[Finding]:
    kind = str(parsed.get("kind") or "")
    if kind == manifest.KIND and parsed.get("apiVersion") != manifest.API_VERSION:
        yield document.finding(ERROR, f"is not loaded: apiVersion is not {manifest.API_VERSION}", "apiVersion")
    elif kind == manifest.KIND:
        yield document.finding(ERROR, "is not loaded: metadata.name is missing", "metadata")
    else:
        yield document.finding(NOTE, _KINDS.get(kind, "is no Component: nothing here reads it"), "kind")
    if kind == _CONFIGURATION:
        yield from _configuration(document, environ)


def _policies(readings: Sequence[Reading], documents: Mapping[Source, _Document]) -> Iterator[Finding]:
    """What is wrong with each Resiliency resource, and with all of them together."""
    for each in readings:
        document = documents[each.source]
        for fault in each.faults:
            yield document.finding(ERROR, str(fault), fault.path)
        for warning in each.warnings:
            yield document.finding(NOTE, str(warning), warning.path)
        for unused in each.unused:
            yield document.finding(NOTE, f"{unused.path} has no effect: {unused.text}", unused.path)
    by_resource = {id(each.resource): documents[each.source] for each in readings}
    for remark in Policies(each.resource for each in readings).remarks:
        kind = ERROR if remark.is_missing else NOTE
        yield by_resource[id(remark.resource)].finding(kind, f"{remark.path} {remark.text}", remark.path)


class _Watched(Properties):
    """Remembers which properties were asked for."""

    __slots__ = ("asked",)

    def __init__(self, items: Iterable[tuple[str, str]]) -> None:
        super().__init__(items)
        self.asked: set[str] = set()

    def __getitem__(self, name: str) -> str:
        self.asked.add(name.lower())
        return super().__getitem__(name)


class _Log(logging.Handler):
    """What the loader and the stores log: it is said in the report."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.lines: list[tuple[str, str]] = []  # the kind of finding that it is, and its text

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append((ERROR if record.levelno >= logging.ERROR else NOTE, record.getMessage()))

    def take(self) -> list[tuple[str, str]]:
        lines, self.lines = self.lines, []
        return lines


class _Check:
    """Each component is started as if it were alone with its secret store, so that what is found is its own."""

    def __init__(self, options: Options, documents: Mapping[Source, _Document], *, connect: bool) -> None:
        self._options = options
        self._environment = Environment(options.app_id, options.environment)
        self._documents = documents
        self._connect = connect
        self._findings: list[Finding] = []
        self._components = Components(options.app_id, options.namespace)

    async def all(self, manifests: list[Manifest]) -> list[Finding]:
        said = _Log()
        root = logging.getLogger()
        root.addHandler(said)
        try:
            stores = {each.name: each for each in manifests if each.type.startswith(secrets.CATEGORY)}
            for each in self._taken(manifests):
                said.take()
                await self._one(each, [stores[each.secret_store]] if each.secret_store in stores else [], said)
        finally:
            root.removeHandler(said)
        return self._findings

    def _taken(self, manifests: list[Manifest]) -> list[Manifest]:
        """All but those whose name is taken, and those of other applications."""
        while True:
            try:
                return loader.select(manifests, self._options.app_id, self._options.namespace)
            except LoadError as error:
                self._find(next(each for each in manifests if each.source == error.source), str(error), "metadata.name")
                manifests = [each for each in manifests if each.source != error.source]

    async def _one(self, each: Manifest, secret_stores: list[Manifest], said: _Log) -> None:
        alone = structs.replace(each, ignore_errors=False)
        try:
            if each not in secret_stores:
                loader.start(secret_stores, self._environment)
                said.take()  # is its own finding
            resources = loader.start(
                [*secret_stores, alone] if each not in secret_stores else [alone], self._environment
            )
        except LoadError as error:
            self._find(each, str(error))
            return
        is_missing = each.type.startswith(loader.STATE) and not resources.components
        for kind, line in said.take():
            self._find(each, line, kind=ERROR if is_missing else kind)
        for component in resources.components:
            await self._store(each, component, said)

    async def _store(self, each: Manifest, component: Component, said: _Log) -> None:
        properties = _Watched((name, component.properties[name]) for name in component.properties)
        component = structs.replace(component, properties=properties, ignore_errors=False)
        values: dict[str, bool] = {}
        for name in properties:  # what is a secret of one field is none of another's words
            values[properties[name]] = values.get(properties[name], False) or _is_secret(name, component)
        properties.asked.clear()
        try:
            _, store = self._components.make(component)
            for name in properties:
                if name.lower() not in properties.asked:
                    self._find(each, f"{name} has no effect: {each.type} does not know it", kind=NOTE)
            if self._connect:
                await in_time(store.reach, store, component)
            self._components.note_actor_store(component, store)
        except ComponentError as error:
            self._find(each, _hidden(str(error), values), seen=str(error))
            return  # it says what was logged, too
        for kind, line in said.take():
            self._find(each, _hidden(line, values), kind=kind, seen=line)

    def _find(self, each: Manifest, text: str, path: str = "", *, kind: str = ERROR, seen: str = "") -> None:
        """`seen` is the text before values were hidden: fields that it names tell the line."""
        path = path or _path(each, seen or text)
        self._findings.append(self._documents[each.source].finding(kind, _unquoted(text), path))


def _path(each: Manifest, text: str) -> str:
    """The field that a text is about."""
    words = set(re.findall(r"[\w.-]+", text.lower()))
    for index, item in enumerate(each.items):
        if item.name.lower() in words:
            return f"spec.metadata[{index}]"
    return "spec.type"


def _is_secret(name: str, component: Component) -> bool:
    return name.lower() in component.secret_keys or bool(_SECRET.search(name))


def _hidden(text: str, values: Mapping[str, bool]) -> str:
    """The text without any of the component's values, or passwords in them; `values` tells which are secret.

    Others are hidden where they stand by themselves, but for those that are ordinary words: most often they are ours.
    """
    for value, is_secret in sorted(values.items(), key=lambda each: len(each[0]), reverse=True):
        parts = [part for found in _PASSWORD.findall(value) for part in found]
        for secret in (value if is_secret else "", *parts):
            if len(secret) >= _SHORTEST:
                text = text.replace(secret, _HIDDEN)
        if len(value) >= _SHORTEST and not is_secret and not _WORD.fullmatch(value):
            text = re.sub(rf"(?<!\w){re.escape(value)}(?!\w)", _HIDDEN, text)
    return text


def _unquoted(text: str) -> str:
    """Without what is quoted: it may be a value."""
    return _QUOTED.sub(_HIDDEN, text)


def _reason(error: OSError | UnicodeDecodeError) -> str:
    return str(error.strerror).lower() if isinstance(error, OSError) else "is not UTF-8"
