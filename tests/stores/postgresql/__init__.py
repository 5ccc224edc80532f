"""What only the PostgreSQL stores have: their tables, their options, their groups and their failures."""
