"""The endpoints that make pictures: how each is asked, and in what shape it answers."""
