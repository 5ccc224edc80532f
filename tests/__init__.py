"""The tests: folders mirror the package; stores/ and conformance/ run against real servers in their own processes."""
