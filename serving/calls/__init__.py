"""The HTTP calls: what comes in, what goes out, and who may ask."""
