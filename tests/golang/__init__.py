"""What imitates Go, beside what Go says."""
