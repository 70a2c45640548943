"""Steps: become manage.py in a process or a copy of the host."""
