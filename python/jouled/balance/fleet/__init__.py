"""Which load gets how much of a budget: pure, and the same for the same question."""
