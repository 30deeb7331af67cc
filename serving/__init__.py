"""What we do: choose a communication, log it, answer the CRM."""
