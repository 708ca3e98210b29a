"""What Tab completes. Nothing here loads the commands, SQLAlchemy or users' code: Tab cannot wait."""
