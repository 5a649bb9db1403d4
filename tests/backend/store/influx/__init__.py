"""The InfluxDB engine, beyond what the contract's suite asks of every engine."""
