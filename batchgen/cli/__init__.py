"""The commands: each parses, wires, prints and exits."""
