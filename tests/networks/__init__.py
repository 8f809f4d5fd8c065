"""Networks that the tests convert: small, seeded, built with torch."""
