"""What a program, a job or a test demands of a machine, and whether the machine meets it."""
