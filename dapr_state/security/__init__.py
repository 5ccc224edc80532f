"""Who may call what: the API token, and the API allow and deny lists."""
