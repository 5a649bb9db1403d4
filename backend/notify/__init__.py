"""From a state change to a message that arrived: outbox, grouping, e-mail, SMS."""
