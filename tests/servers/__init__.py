"""Real servers as child processes, for the tests that need more than the embedded one."""
