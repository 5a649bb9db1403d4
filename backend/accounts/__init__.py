"""People and what they may do: registration, log-in, sessions, rights, staff. No HTTP and no words of mails here."""
