"""Mining machines as loads, by the interface of their firmware."""
