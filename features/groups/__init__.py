"""Every feature, in files by what it tells of."""
