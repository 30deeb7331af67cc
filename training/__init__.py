"""How we learn and check; nothing here is needed to answer a request."""
