"""One contract over every store, grouped by feature; and what only one store has."""
