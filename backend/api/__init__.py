"""The HTTP API: one module a resource, problem+json errors, routes as data. No SQL and no rules live here."""
