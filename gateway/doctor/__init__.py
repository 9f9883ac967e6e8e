"""What is wrong on this machine, and what to do: a table of small checks that look and change nothing."""
