"""What runs in the target project's interpreter: standard library and the project's own Django, in Python 3.8 syntax.

Nothing here imports dbmigrate, and dbmigrate imports nothing from here but `protocol.py`: `__main__.py` is started by
path, loads this folder as the package `dbmigrate_inside`, and takes the folder off sys.path so that a project's
`config` or `sql` module is the project's.
"""
