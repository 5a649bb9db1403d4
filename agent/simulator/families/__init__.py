"""Machines of our own making: the four makes' firmware, written from what their interfaces look like.

A family turns one `Live` into the documents of its make and holds no numbers of its own; `kinds.FAMILIES` lists
them. How a make's protocol is carried over a connection is not their business.
"""
