"""Compare answers that need algebra: sympy, in processes that can be killed."""
