"""A program that calls the demo's services: ``python -m demo_app.client [URL]``."""

import sys

import numpy

from pyramid_restproxy import Progress, ServiceClient


def main(url="http://127.0.0.1:6543/srv"):
    """Send an array, and show what comes back."""
    heights = numpy.random.default_rng(1).normal(175, 8, 100_000)
    with ServiceClient(url, progress=show) as client:
        for name, value in client.statistics.describe(values=heights).items():
            print(f"{name:10} {value:12.3f}")
        standard = client.statistics.standardised(values=heights)
        print(f"standardised: {standard.dtype}, {standard.nbytes} bytes came back")
        means = list(client.statistics.resampled_means(values=heights, rounds=5))
        print("means of samples:", ", ".join(f"{mean:.3f}" for mean in means))


def show(progress: Progress):
    """Tell how far the server is."""
    print(f"  {progress.text} {progress.done} of {progress.total}", file=sys.stderr)


if __name__ == "__main__":
    main(*sys.argv[1:])
