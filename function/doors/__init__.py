"""The doors: HTTP in, and the process behind it."""
