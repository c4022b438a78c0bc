"""The intermediate representation: Program, Graph, values, and the rules they keep. Knows no framework."""
