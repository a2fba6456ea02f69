"""What every room may use: errors, files, untrusted input, the machine, randomness."""
