"""What serves follows the champion on record."""
