"""What is minimised: the objective, its schedules of beta and its strategies."""
