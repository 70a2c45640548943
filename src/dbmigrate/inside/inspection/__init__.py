"""What the questions `inspect` and `sql` tell of a project and its databases, for a plan and for checks."""
