"""A gateway to rehearse against, with the quirks of the real ones and a bill of its own."""
