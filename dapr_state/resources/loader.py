"""Component files: which are read, which components this sidecar takes, and in what order they start."""

from __future__ import annotations

import errno
import logging
import stat
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from msgspec import Struct, field

from dapr_state.resources import secrets
from dapr_state.resources.component import CREATION, INIT, Component, Source, creation_failure, init_failure
from dapr_state.resources.properties import PropertiesError
from dapr_state.resources.resolve import resolve

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from dapr_state.resources.manifest import Manifest
    from dapr_state.resources.resiliency import Reading
    from dapr_state.resources.resolve import Environment
    from dapr_state.resources.secrets import SecretStore

STATE: Final = "state."
# building blocks of Dapr that are not served here; their files often lie in the same folder
_ELSEWHERE: Final = (
    "bindings.",
    "configuration.",
    "conversation.",
    "crypto.",
    "lock.",
    "middleware.",
    "nameresolution.",
    "pubsub.",
    "workflowbackend.",
)
SUFFIXES: Final = frozenset({".yaml", ".yml"})
# Octets, which take 3 s to read. No resource of Kubernetes is larger, nor a folder of a ConfigMap; daprd has no limit.
LARGEST_FILE: Final = 1 << 20

log = logging.getLogger("dapr.runtime")
processor_log = logging.getLogger("dapr.runtime.processor")


class LoadError(Exception):
    """The sidecar cannot start with these components; the text is daprd's."""

    def __init__(self, text: str, reasons: Sequence[str] = (), *, source: Source | None = None) -> None:
        """`reasons` are what a component's failure is counted for; `source` is the one of two that was not expected."""
        super().__init__(text)
        self.reasons = reasons
        self.source = source


class OpenSecrets(Struct, frozen=True):
    """A secret store and the component that it was opened for."""

    component: Component
    store: SecretStore


class Resources(Struct):
    """The state stores to open, in this order, and the secret stores, which are open already."""

    components: list[Component] = field(default_factory=list)
    secret_stores: dict[str, OpenSecrets] = field(default_factory=dict)
    failed: list[tuple[Manifest, Sequence[str]]] = field(default_factory=list)  # and why; `ignoreErrors`


class File(Struct, frozen=True):
    """What one file says: components, policies, and what is wrong with the documents that had to be left out."""

    path: str
    manifests: tuple[Manifest, ...] = ()
    problems: tuple[str, ...] = ()
    resiliencies: tuple[Reading, ...] = ()

    @property
    def is_good(self) -> bool:
        """Whether nothing of it had to be left out."""
        return not self.problems and not any(each.faults for each in self.resiliencies)


def load(folders: Sequence[str], environment: Environment) -> Resources:
    """Read the folders, start the secret stores, and resolve the components that this sidecar takes."""
    return start(taken(read(folders), environment), environment)


def read(folders: Sequence[str]) -> list[File]:
    """Every component file, in the order of the folders and of the names in them."""
    try:
        return [file for folder in folders for file in _read_folder(Path(folder))]
    except LoadError as error:
        raise LoadError(f"failed to load components: {error}") from None


def taken(files: Iterable[File], environment: Environment) -> list[Manifest]:
    """Keep what is meant for this sidecar. Raises LoadError when a name is taken twice."""
    found = (each for file in files for each in file.manifests)
    try:
        return select(found, environment.app_id, environment.environ.get("NAMESPACE", ""))
    except LoadError as error:
        raise LoadError(f"failed to load components: {error}") from None


def start(manifests: Sequence[Manifest], environment: Environment) -> Resources:
    """Start the secret stores among the components, and resolve the state stores with them."""
    return _Start(environment).all(manifests)


def is_elsewhere(each: Manifest) -> bool:
    """Whether it belongs to a building block of Dapr that is not served here."""
    return each.type.startswith(_ELSEWHERE)


def parse(text: str, path: str) -> File:
    """What one file's text says."""
    # YAML takes 13 ms of the start, and the built-in store has no file
    from dapr_state.golang import yaml  # noqa: PLC0415
    from dapr_state.resources import manifest  # noqa: PLC0415

    manifests: list[Manifest] = []
    problems: list[str] = []
    resiliencies: list[Reading] = []
    for number, (line, document) in enumerate(yaml.split(text), start=1):
        source = Source(path, number)
        try:
            parsed = yaml.parse(document, line)
            if manifest.kind_of(parsed) == manifest.RESILIENCY:
                resiliencies.append(_policies(parsed, source))
            elif each := manifest.read(parsed, source):
                manifests.append(each)
        except (yaml.DocumentError, manifest.ManifestError) as error:
            problems.append(f"{source}: {error}")
    return File(path, tuple(manifests), tuple(problems), tuple(resiliencies))


def _policies(parsed: Any, source: Source) -> Reading:
    # most sidecars have none
    from dapr_state.resources import resiliency  # noqa: PLC0415

    return resiliency.read(parsed, source)


def select(manifests: Iterable[Manifest], app_id: str, namespace: str) -> list[Manifest]:
    """Keep what is meant for this sidecar. Raises LoadError when a name is taken twice."""
    taken: dict[str, Manifest] = {}
    for each in manifests:
        if each.name in taken:
            first = taken[each.name]
            raise LoadError(
                f"duplicate definition of Component name {each.display} with existing {first.display}"
                f" ({each.source}; {first.source})",
                source=each.source,
            )
        if each.applies_to(app_id, namespace):
            taken[each.name] = each
    return list(taken.values())


def start_failure(component: Component | Manifest, reason: str) -> str:
    """Daprd's last words about a component that could not be started."""
    return f"process component {component.name} error: {reason}"


def files_in(folder: Path) -> list[Path]:
    """Its files, of whatever kind, in the order in which they are read. Raises LoadError."""
    try:
        return sorted((path for path in folder.iterdir() if not path.is_dir()), key=lambda path: path.name.encode())
    except OSError as error:
        raise LoadError(f"open {folder}: {str(error.strerror).lower()}") from None


def text_of(path: Path) -> str:
    """A file of theirs. Raises OSError, also for what would never end, and UnicodeDecodeError."""
    status = path.stat()
    if not stat.S_ISREG(status.st_mode):
        raise OSError(errno.EINVAL, "Is no regular file")
    if status.st_size > LARGEST_FILE:
        raise OSError(errno.EFBIG, f"Is larger than {LARGEST_FILE} bytes")
    return path.read_text(encoding="utf-8-sig")


def _read_folder(folder: Path) -> Iterator[File]:
    for path in files_in(folder):
        if path.suffix.lower() not in SUFFIXES:
            log.warning("A non-YAML Component file %s was detected, it will not be loaded", path.name)
            continue
        yield _read_file(path)


def _read_file(path: Path) -> File:
    try:
        file = parse(text_of(path), str(path))
    except (OSError, UnicodeDecodeError) as error:
        file = File(str(path), problems=(f"{path}: {error}",))
    for problem in file.problems:
        log.warning("daprd load Component error when parsing manifests yaml resource in %s", problem)
    return file


class _Start:
    """Secret stores first; what waits for one comes right after it."""

    def __init__(self, environment: Environment) -> None:
        self._environment = environment
        self._resources = Resources()
        self._waiting: dict[str, list[Manifest]] = {}

    def all(self, manifests: Sequence[Manifest]) -> Resources:
        for each in sorted(manifests, key=lambda each: not each.type.startswith(secrets.CATEGORY)):
            self._one(each)
        for store, waiting in self._waiting.items():
            for each in waiting:
                log.warning(
                    "Component %s is not loaded: it waits for the secret store %s, which is not there (%s)",
                    each.display,
                    store,
                    each.source,
                )
        return self._resources

    def _one(self, each: Manifest) -> None:
        store = each.secret_store
        if each.needs_secrets and store and store not in self._resources.secret_stores:
            self._waiting.setdefault(store, []).append(each)
            return
        try:
            self._take(each)
        except LoadError as error:
            if not each.ignore_errors:
                raise
            processor_log.error("Ignoring error processing component: %s", error)
            if error.reasons:  # daprd counts nothing for a type of no building block at all
                self._resources.failed.append((each, error.reasons))

    def _take(self, each: Manifest) -> None:
        if is_elsewhere(each):
            log.warning("Component %s is not loaded: state stores only are served here (%s)", each.display, each.source)
            return
        if not each.type.startswith((STATE, secrets.CATEGORY)):
            raise LoadError(start_failure(each, f"incorrect type {each.type} ({each.source})"))
        opened = self._resources.secret_stores.get(each.secret_store)
        try:
            component = resolve(each, self._environment, opened.store if opened else None)
        except PropertiesError as error:
            raise _init_failure(each, f"{error} ({each.source})") from None
        if each.type.startswith(STATE):
            self._resources.components.append(component)
        else:
            self._open_secret_store(each, component)

    def _open_secret_store(self, each: Manifest, component: Component) -> None:
        try:
            store = secrets.create(component, self._environment.environ)
        except secrets.UnknownSecretStoreError as error:
            raise _init_failure(each, creation_failure(each.display, error), CREATION) from None
        except (secrets.SecretStoreError, PropertiesError) as error:
            raise _init_failure(each, error) from None
        self._resources.secret_stores[each.name] = OpenSecrets(component, store)
        processor_log.info("Component loaded: %s", each.display)
        for waiting in self._waiting.pop(each.name, []):
            self._one(waiting)


def _init_failure(each: Manifest, reason: object, reasons: Sequence[str] = INIT) -> LoadError:
    return LoadError(start_failure(each, init_failure(each.display, reason)), reasons)
