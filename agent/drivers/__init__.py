"""How miners are read: the Driver protocol and its two libraries. No deadlines and no names that leave live here."""
