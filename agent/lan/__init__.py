"""The page for the people at the site: what the agent does, what leaves, and which machine a pseudonym is.

Real names are shown here and nowhere else, so everything needs the password, and nothing is asked of any other host.
"""
