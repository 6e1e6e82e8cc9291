"""What lies in the buckets: prompt files, input pictures and finished ones, and where."""
