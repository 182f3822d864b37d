"""The spool: paid answers on disk that are not yet images, and the room they need."""
