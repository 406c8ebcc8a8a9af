"""A small scientific service: statistics of an array that another program sends.

``python -m demo_app.client`` is such a program. Arrays travel as they are, in
MessagePack or CBOR; the last method answers piece by piece, with progress.
"""

from collections.abc import Iterator

import numpy

from pyramid_restproxy import Progress

#: Its square, and the sum of many, is still a number.
LARGEST = 1e140


class NotMeasurable(ValueError):
    """What was sent cannot be measured; callers are told why."""


def numbers(values):
    """Return an array of at least one finite number."""
    try:
        found = numpy.asarray(values, float)
    except (TypeError, ValueError, OverflowError) as error:
        raise NotMeasurable("the values are not numbers") from error
    if found.size == 0 or not numpy.isfinite(found).all():
        raise NotMeasurable("expected finite numbers, one at the least")
    if numpy.abs(found).max() > LARGEST:
        raise NotMeasurable("the numbers are too large to be squared")
    return found


class Statistics:
    """What can be said of an array of numbers, or of a list of who has no arrays."""

    def describe(self, values) -> dict:
        """Return size, mean, standard deviation, minimum and maximum."""
        values = numbers(values)
        return {
            "size": int(values.size),
            "mean": float(values.mean()),
            "deviation": float(values.std()),
            "minimum": float(values.min()),
            "maximum": float(values.max()),
        }

    def standardised(self, values) -> numpy.ndarray:
        """Return the array with mean 0 and standard deviation 1."""
        values = numbers(values)
        return (values - values.mean()) / (values.std() or 1.0)

    def resampled_means(self, values, rounds: int = 20) -> Iterator:
        """Yield the means of samples drawn from the array, one by one."""
        values = numbers(values).ravel()
        if not 0 <= rounds <= 1000:
            raise NotMeasurable("rounds must be from 0 to 1000")
        random = numpy.random.default_rng(7)
        for number in range(rounds):
            yield Progress(number, rounds, "resampling")
            yield float(random.choice(values, values.size).mean())
        return "done"


def includeme(config):
    """Declare the service, and where callers find what there is."""
    config.add_service("statistics", "/srv/statistics", Statistics)
    config.add_service_exception(NotMeasurable, status=422)
    config.add_service_description("/srv/describe")
    config.add_openapi_view("/openapi.json", title="The services of the demo")
