"""The administration API, asked over both transports from one list of cases."""
