"""How rows of any file become signals: mapping, checks, quarantine."""
