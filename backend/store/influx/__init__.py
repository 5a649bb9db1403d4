"""The store on InfluxDB (2.5 or newer): many accounts in few buckets, kept apart by a tag that only this package sets.

Nothing outside may talk to the server. Text that reaches it is made in `lineprotocol` (writes) and `queries`
(reads and deletes) and nowhere else.
"""
