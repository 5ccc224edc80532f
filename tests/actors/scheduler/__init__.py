"""Reminders in Dapr's scheduler, beside a scheduler of the tests."""
