"""The ways to act on a load. What acts is asked for one decision at a time, and says what it did."""
