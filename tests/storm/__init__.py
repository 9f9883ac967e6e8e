"""A house in bad weather: the whole pipeline under random histories, held against laws that share no code with it."""
