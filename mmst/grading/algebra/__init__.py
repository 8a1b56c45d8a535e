"""Answers that take algebra to compare: sympy, in processes that can be killed."""
