"""A tree of .strm files for media servers, kept in step with what the sites list of chosen titles.

`listing` asks what there is, `naming` says what it is called, `shelf` is the folder on the disk, `planning` compares,
`syncing` does it. AniBridge only touches files that it has written itself and that nobody has changed since.
"""
