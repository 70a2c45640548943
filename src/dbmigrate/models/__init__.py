"""Values that travel between the parts: immutable, typed, without behaviour that reaches outside."""
