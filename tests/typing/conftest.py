"""Beside the tests lies a project of a user, which type checkers look at and nobody runs."""

collect_ignore = ["project"]
