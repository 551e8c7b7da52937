"""What the plant says that feeds a site."""
