"""What we know about a customer at a moment."""
