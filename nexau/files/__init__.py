"""What people write, read: bounded, with its lines, and with everything that is wrong with it."""
