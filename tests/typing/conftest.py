"""Beside the tests lie users' projects, which are looked at by type checkers and not run."""

collect_ignore = ["right", "wrong"]
