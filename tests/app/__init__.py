"""The way to the application, against real applications in their own processes."""
