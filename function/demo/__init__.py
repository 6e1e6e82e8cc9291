"""What `make demo` needs besides Darkroom itself: a real S3 server on this machine, as a child process."""
