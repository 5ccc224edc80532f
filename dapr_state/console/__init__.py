"""The console's page: its files, as they are served. No other module of ours is known here."""
