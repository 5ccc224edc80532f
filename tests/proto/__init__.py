"""Our protobuf definitions: up to date, compatible, and loadable beside Dapr's own."""
