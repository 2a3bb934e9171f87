"""What schemathesis has to know beyond the API's own description: a range does not end before it begins, and some
symbols are known, so that not every answer is a 404."""

import os

import schemathesis

KNOWN = os.environ["TICKSMITH_TEST_SYMBOLS"].split(",")


@schemathesis.hook
def map_path_parameters(context, path_parameters):
    symbol = (path_parameters or {}).get("symbol")
    # Every other one, by its own text: the same data make the same requests.
    if symbol and sum(map(ord, str(symbol))) % 2 == 0:
        path_parameters["symbol"] = KNOWN[len(str(symbol)) % len(KNOWN)]
    return path_parameters


@schemathesis.hook
def filter_query(context, query):
    begin, end = ((query or {}).get(name) for name in ("from", "to"))
    both = isinstance(begin, int) and isinstance(end, int)
    return begin is None or end is None or (both and begin <= end)
