"""The wire contract, held to files that never change."""
