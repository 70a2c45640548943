"""One run at a time on each database: the locks of every engine, and who is in their way."""
