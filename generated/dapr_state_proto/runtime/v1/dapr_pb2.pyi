from google.protobuf import empty_pb2 as _empty_pb2
from dapr_state_proto.runtime.v1 import actors_pb2 as _actors_pb2
from dapr_state_proto.runtime.v1 import metadata_pb2 as _metadata_pb2
from dapr_state_proto.runtime.v1 import state_pb2 as _state_pb2
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from typing import ClassVar as _ClassVar

DESCRIPTOR: _descriptor.FileDescriptor

class ShutdownRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...
