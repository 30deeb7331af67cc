"""One file per data set: its rows in, signals out."""
