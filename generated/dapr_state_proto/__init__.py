"""The messages and services of proto/ in a descriptor pool of their own; made by scripts/generate."""

from google.protobuf import any_pb2, descriptor_pool, duration_pb2, empty_pb2, timestamp_pb2

POOL = descriptor_pool.DescriptorPool()
for _module in (any_pb2, duration_pb2, empty_pb2, timestamp_pb2):
    POOL.AddSerializedFile(_module.DESCRIPTOR.serialized_pb)
