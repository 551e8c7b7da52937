"""What the outside says: carbon intensity, and supplies that tell how they are."""
