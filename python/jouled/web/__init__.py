"""The web room: what others read. Reading never measures and never waits for a scan."""
