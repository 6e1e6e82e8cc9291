"""`darkroom doctor`, as a process against real stores, and against what a real cluster has answered."""
