"""The lowest room: errors, files, untrusted input, the machine, randomness."""
