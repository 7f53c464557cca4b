"""Guards that a single caller meets: each is taken out once, and its scenario has to go red."""
