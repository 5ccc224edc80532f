"""How proto/ becomes generated/dapr_state_proto: protoc's output, moved to our package and our own descriptor pool.

Descriptor names live in one pool per process, and Dapr's own SDK fills the default one with the same names. In a pool
of our own, an application may load both.
"""

import re
import shutil
import sys
import tempfile
from pathlib import Path

import grpc_tools
from google.protobuf import descriptor_pb2
from grpc_tools import protoc

ROOT = Path(__file__).resolve().parent.parent
SOURCE = ROOT / "proto"
PACKAGE = "dapr_state_proto"
WELL_KNOWN = Path(grpc_tools.__file__).parent / "_proto"

# dapr/proto/runtime/v1/state.proto is imported as dapr_state_proto.runtime.v1.state_pb2, and
# dapr_state/admin/v1/admin.proto as dapr_state_proto.admin.v1.admin_pb2. Messages and services keep their full names,
# which are part of the protocol.
FOLDERS = ("dapr/proto", "dapr_state")
MODULE_NAME = re.compile(r"'(?:dapr\.proto|dapr_state)\.([a-z0-9_.]+_pb2)'")
REPLACEMENTS = (
    ("from dapr.proto.", f"from {PACKAGE}."),
    ("from dapr_state.", f"from {PACKAGE}."),
    ("from google.protobuf import descriptor_pool as _descriptor_pool\n", f"from {PACKAGE} import POOL as _POOL\n"),
    ("_descriptor_pool.Default()", "_POOL"),
)

POOL_MODULE = '''"""The messages and services of proto/ in a descriptor pool of their own; made by scripts/generate."""

from google.protobuf import any_pb2, descriptor_pool, duration_pb2, empty_pb2, timestamp_pb2

POOL = descriptor_pool.DescriptorPool()
for _module in (any_pb2, duration_pb2, empty_pb2, timestamp_pb2):
    POOL.AddSerializedFile(_module.DESCRIPTOR.serialized_pb)
'''

SERVICE_TYPES = """from collections.abc import AsyncIterator
import grpc
{imports}

class {service}Stub:
    def __init__(self, channel: grpc.aio.Channel) -> None: ...
{calls}

class {service}Servicer:
{handlers}

def add_{service}Servicer_to_server(servicer: {service}Servicer, server: grpc.aio.Server) -> None: ...
"""


def main() -> None:
    target = Path(sys.argv[1]) if len(sys.argv) > 1 else ROOT / "generated" / PACKAGE
    with tempfile.TemporaryDirectory() as folder:
        raw = Path(folder)
        _run_protoc(raw)
        shutil.rmtree(target, ignore_errors=True)
        for tree in FOLDERS:
            _move(raw / tree, target)
        _write_service_types(raw / "descriptors", target)
    (target / "__init__.py").write_text(POOL_MODULE)
    (target / "py.typed").touch()


def _run_protoc(output: Path) -> None:
    files = sorted(str(path.relative_to(SOURCE)) for path in SOURCE.rglob("*.proto"))
    services = [name for name in files if "\nservice " in (SOURCE / name).read_text()]
    paths = [f"-I{SOURCE}", f"-I{WELL_KNOWN}"]
    messages = [
        f"--python_out={output}",
        f"--pyi_out={output}",
        f"--descriptor_set_out={output / 'descriptors'}",
        "--include_imports",
    ]
    for arguments in ([*messages, *files], [f"--grpc_python_out={output}", *services]):
        if protoc.main(["protoc", *paths, *arguments]) != 0:
            sys.exit("protoc refused the files above")


def _move(source: Path, target: Path) -> None:
    for path in sorted(source.rglob("*_pb2*")):
        text = MODULE_NAME.sub(rf"'{PACKAGE}.\1'", path.read_text())
        for old, new in REPLACEMENTS:
            text = text.replace(old, new)
        moved = target / path.relative_to(source)
        moved.parent.mkdir(parents=True, exist_ok=True)
        moved.write_text(text)
    for folder in (path for path in target.rglob("*") if path.is_dir()):
        (folder / "__init__.py").touch()


def _write_service_types(descriptors: Path, target: Path) -> None:
    # protoc's gRPC plugin writes no types; these say what its stub and servicer look like under grpc.aio
    files = descriptor_pb2.FileDescriptorSet.FromString(descriptors.read_bytes()).file
    modules = {f".{file.package}.{message.name}": _module(file.name) for file in files for message in file.message_type}
    for file in files:
        if file.service:
            path = target / f"{_inside(file.name)}_pb2_grpc.pyi"
            path.write_text("\n".join(_service_types(service, modules) for service in file.service))


def _service_types(service: descriptor_pb2.ServiceDescriptorProto, modules: dict[str, str]) -> str:
    calls, handlers, used = [], [], set()
    for method in service.method:
        asked, answer = (
            f"{modules[name]}.{name.rpartition('.')[2]}" for name in (method.input_type, method.output_type)
        )
        used |= {modules[method.input_type], modules[method.output_type]}
        kind = "".join(
            "Stream" if streams else "Unary" for streams in (method.client_streaming, method.server_streaming)
        )
        calls.append(f"    {method.name}: grpc.aio.{kind}MultiCallable[{asked}, {answer}]")
        request = f"AsyncIterator[{asked}]" if method.client_streaming else asked
        prefix, reply = ("", f"AsyncIterator[{answer}]") if method.server_streaming else ("async ", answer)
        context = f"grpc.aio.ServicerContext[{asked}, {answer}]"
        handlers.append(f"    {prefix}def {method.name}(self, request: {request}, context: {context}) -> {reply}: ...")
    return SERVICE_TYPES.format(
        service=service.name,
        imports="\n".join(f"import {module}" for module in sorted(used)),
        calls="\n".join(calls),
        handlers="\n".join(handlers),
    )


def _inside(proto: str) -> str:
    """Where a definition of ours stands in the package."""
    return next(proto[len(each) + 1 :] for each in FOLDERS if proto.startswith(f"{each}/")).removesuffix(".proto")


def _module(proto: str) -> str:
    path = f"{PACKAGE}/{_inside(proto)}" if proto.startswith(FOLDERS) else proto.removesuffix(".proto")
    return f"{path}_pb2".replace("/", ".")


if __name__ == "__main__":
    main()
