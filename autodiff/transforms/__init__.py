"""Functions that make functions: their derivatives, cheaper ones, and ones whose derivative is given in another way."""
