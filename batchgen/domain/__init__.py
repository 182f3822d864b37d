"""The words of batchgen: frozen values and pure functions, no input or output."""
