"""Run untrusted programs: one, many, or a file of them."""
