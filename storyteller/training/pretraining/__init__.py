"""A model of one's own from nothing but texts: a recipe, the tokens it makes of them, the loop, a plain folder."""
