"""The parts of the local transport, and several communicators in one process."""
