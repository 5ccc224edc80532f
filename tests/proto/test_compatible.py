"""Our definitions and those of the official SDK: equal in all that counts, and both loadable in one process."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest
from dapr_state_proto.common.v1 import common_pb2
from dapr_state_proto.runtime.v1 import actors_pb2, dapr_pb2, metadata_pb2, state_pb2

from tests.proto import describe

FILES = [
    common_pb2.DESCRIPTOR,
    state_pb2.DESCRIPTOR,
    actors_pb2.DESCRIPTOR,
    metadata_pb2.DESCRIPTOR,
    dapr_pb2.DESCRIPTOR,
]

DUMP = """
import importlib, json, sys
sys.path.insert(0, sys.argv[1])
import describe
names = sys.argv[2:]
modules = [importlib.import_module(name.removesuffix(".proto").replace("/", ".") + "_pb2") for name in names]
print(json.dumps({name: describe.file(module.DESCRIPTOR) for name, module in zip(names, modules)}))
"""

TOGETHER = """
import sys
from dapr.clients import DaprClient
from dapr.proto.runtime.v1 import dapr_pb2_grpc as theirs
sys.path.append(sys.argv[1])
from dapr_state_proto.runtime.v1 import dapr_pb2_grpc as ours, state_pb2
from dapr.proto.runtime.v1 import state_pb2 as their_state
request = their_state.GetStateRequest(store_name="s", key="k")
assert state_pb2.GetStateRequest.FromString(request.SerializeToString()).key == "k"
assert theirs.DaprStub is not ours.DaprStub
print("both")
"""


@pytest.fixture(scope="module")
def official(sdk_python: Path) -> dict[str, Any]:
    """The SDK's descriptors as plain data, read in its own process."""
    names = [file.name for file in FILES]
    command = [str(sdk_python), "-c", DUMP, str(Path(__file__).parent), *names]
    dumped: dict[str, Any] = json.loads(subprocess.run(command, check=True, capture_output=True).stdout)
    return dumped


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.name)
def test_every_definition_is_the_official_one(file: Any, official: dict[str, Any]) -> None:
    """Options, enums, messages and fields are equal; of the service, every call that we have."""
    ours, theirs = describe.file(file), official[file.name]

    assert theirs["options"] == ours["options"]
    assert theirs["enums"] == ours["enums"]
    assert theirs["messages"] == ours["messages"]
    for name, methods in ours["services"].items():
        assert {method: theirs["services"][name][method] for method in methods} == methods


def test_both_load_in_one_process(sdk_python: Path) -> None:
    """An application that has the SDK loaded can load our stubs too, and they read each other's bytes."""
    # the SDK's environment has protobuf and grpcio of its own
    generated = Path(__file__).resolve().parents[2] / "generated"
    done = subprocess.run([sdk_python, "-c", TOGETHER, generated], check=False, capture_output=True, text=True)

    assert (done.stdout, done.returncode) == ("both\n", 0), done.stderr


def test_the_comparison_sees_a_difference() -> None:
    """A field with another number or label would not pass as equal."""
    described = describe.file(state_pb2.DESCRIPTOR)
    changed = json.loads(json.dumps(described))
    changed["messages"]["GetStateRequest"]["fields"]["key"]["number"] = 9

    assert changed["messages"] != described["messages"]
    assert described["messages"]["GetStateRequest"]["fields"]["key"]["number"] == 2
