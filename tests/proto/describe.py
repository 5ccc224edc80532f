"""A descriptor as plain data. It is loaded by the SDK's interpreter too, and so imports nothing of ours."""

from __future__ import annotations

from typing import Any

from google.protobuf import descriptor_pb2

# what the generated code of other languages is called after
OPTIONS = ("java_package", "java_outer_classname", "go_package", "csharp_namespace")


def file(descriptor: Any) -> dict[str, Any]:
    options = descriptor.GetOptions()
    return {
        "package": descriptor.package,
        "options": {name: getattr(options, name) for name in OPTIONS},
        "enums": {name: enum(each) for name, each in descriptor.enum_types_by_name.items()},
        "messages": {name: message(each) for name, each in descriptor.message_types_by_name.items()},
        "services": {name: service(each) for name, each in descriptor.services_by_name.items()},
    }


def message(descriptor: Any) -> dict[str, Any]:
    # reflection hides some of it (proto3_optional, for one): the written form has all
    written = descriptor_pb2.DescriptorProto()
    descriptor.CopyToProto(written)
    return {
        "map_entry": written.options.map_entry,
        "oneofs": [each.name for each in written.oneof_decl],
        "enums": {name: enum(each) for name, each in descriptor.enum_types_by_name.items()},
        "messages": {name: message(each) for name, each in descriptor.nested_types_by_name.items()},
        "fields": {each.name: field(each, descriptor.fields_by_name[each.name].json_name) for each in written.field},
    }


def field(written: Any, json_name: str) -> dict[str, Any]:
    return {
        "number": written.number,
        "type": written.type,
        "type_name": written.type_name,
        "label": written.label,
        "json_name": json_name,
        "oneof": written.oneof_index if written.HasField("oneof_index") else None,
        "optional": written.proto3_optional,
        "deprecated": written.options.deprecated,
    }


def enum(descriptor: Any) -> dict[str, int]:
    return {value.name: value.number for value in descriptor.values}


def service(descriptor: Any) -> dict[str, Any]:
    written = descriptor_pb2.ServiceDescriptorProto()
    descriptor.CopyToProto(written)
    return {
        each.name: [each.input_type, each.output_type, each.client_streaming, each.server_streaming]
        for each in written.method
    }
