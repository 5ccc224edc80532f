"""Reminders in Dapr's scheduler service."""
