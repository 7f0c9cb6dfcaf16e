"""One probe per subject: read, parse, return facts and issues. A probe never raises to the user."""
