"""The rule catalogue, the pure state machine and the engine that runs it. Nothing is sent from here."""
