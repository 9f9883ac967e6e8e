"""What outputs towards inverters have in common, whatever the bus: values, what may be told of them, brands' files."""
