"""A site that is not there: plant, loads and prices on a clock of their own, under the real rules."""
