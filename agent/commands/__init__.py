"""The sub-commands of `itsminer-agent`: arguments in, words out; the work is done by the modules they call."""
