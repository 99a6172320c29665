"""Reports for people: a self-contained HTML page and a picture."""
