"""Time series behind the Store protocol; every call takes the account first."""
