"""A company whose true risks and true effects are known."""
