"""How coefficients are found for a given matrix: row fits, constrained row fits, forests of states; and the result."""
