"""What an operator can say: file, environment and arguments, loaded once into frozen structs."""
