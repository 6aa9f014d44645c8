"""What new modules are made of: files of every kind, and of one (`filter-module.py.txt`), with @NAME@ and so on."""
