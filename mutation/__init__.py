"""./dev mutate: would the tests notice?  Small faults, one at a time, in the safety rooms."""
