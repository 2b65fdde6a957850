"""What schemathesis has to know of the API beyond its document."""

import schemathesis


def is_blank(value):
    return isinstance(value, str) and not value.strip()


@schemathesis.hook
def filter_case(context, case):
    """A blank query parameter is as if left out (`allowEmptyValue`), which schemathesis takes for bad input."""
    mode = case.meta.generation.mode if case.meta else None
    if mode is not None and mode.name == "NEGATIVE":
        return not any(is_blank(value) for value in (case.query or {}).values())
    return True
