"""The plan: signals become a schedule of budgets, and the budget of now a cap."""
