"""Programs that nobody trusts: as work, as verdicts, in batches."""
