"""The way out to the user's application."""
