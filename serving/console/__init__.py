"""The console: pages that say in words what the service says in JSON."""
