"""The writer's texts as documents to learn from: found, read, cleaned, without duplicates, and reported on."""
