"""What of a program runs together, and where each array lies."""
