"""The on-site agent: asks miners how they do, replaces every name by a keyed pseudonym, spools, forwards.

Nothing here imports the backend; the backend may import `agent.wire` and nothing else of this package.
"""
