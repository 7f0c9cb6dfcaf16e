"""Opinions: pure functions of the `Machine` (its category, what fits, what is wrong)."""
