"""The sub-commands of `itsminer-backend`: arguments in, words out; the work is done by the modules they call."""
