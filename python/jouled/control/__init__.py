"""The loop that closes: signals become budgets, budgets caps, and whatever was changed is given back."""
