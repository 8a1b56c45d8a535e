"""The model server follows the champion on record."""
