"""What SQL stores share."""
