"""The page in a real browser; run by `./dev test-browser`, not by pytest."""
