"""What is kept: signals that came in, decisions that went out, and what became of them."""
