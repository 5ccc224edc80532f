"""The stores that values are kept in, behind one contract (base.py)."""
