"""HTTP clients of the outside peers. What an answer means is decided elsewhere."""
