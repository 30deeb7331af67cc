"""What we expect of a customer: scores, effects and the reasons for them."""
