"""What imitates Go: the rules and the words of the parsers that daprd's users know."""
