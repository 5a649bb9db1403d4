"""A whole small world on loopback: simulated farm, agent, backend, mail and SMS catchers; for demo, e2e and benches."""
