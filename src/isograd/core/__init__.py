"""What everything else stands on: dtypes, devices, errors, modes, trees."""
