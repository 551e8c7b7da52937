"""Which loads there are, what each says and may do."""
