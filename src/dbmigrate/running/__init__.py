"""Do: run the steps of a plan as processes, and report what happens."""
