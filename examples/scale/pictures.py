"""The pictures that a call names."""


def listed(places):
    """All files, those of folders sorted by path."""
    for place in places:
        yield from sorted(path for path in place.rglob("*") if path.is_file()) if place.is_dir() else [place]
