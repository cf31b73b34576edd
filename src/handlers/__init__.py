"""What runs in Lambda: one package a function, and what they share."""
