"""The multi-account service: stores time series, raises warnings, tells people, forgets on time.

Of the agent it knows `agent.wire` alone: what that module does not name cannot arrive here.
"""
