"""The function that training minimises: objective, schedules of beta, strategies."""
