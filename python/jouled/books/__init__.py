"""What the records mean: rules without a clock, an event loop or a database."""
