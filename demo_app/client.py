"""A program that calls the demo's services: ``python -m demo_app.client [URL]``."""

import sys
from urllib.parse import urljoin

import numpy
import requests

from pyramid_restproxy import KeepAliveAdapter, Progress, ServiceClient
from pyramid_restproxy.trust.hmac_auth import HMACAuth

# What a client of the demo holds, and everybody may know. Keys that are keys are made
# by ``prest keys new`` and stand in no source.
API_KEY = "rpk_demo_everybody-may-know-this-key"
SECRET = b"the newsroom and the demo share this"


def main(url="http://127.0.0.1:6543/srv"):
    """Send an array, and show what comes back; then send news, signed."""
    heights = numpy.random.default_rng(1).normal(175, 8, 100_000)
    with ServiceClient(url, progress=show) as client:
        for name, value in client.statistics.describe(values=heights).items():
            print(f"{name:10} {value:12.3f}")
        standard = client.statistics.standardised(values=heights)
        print(f"standardised: {standard.dtype}, {standard.nbytes} bytes came back")
        means = list(client.statistics.resampled_means(values=heights, rounds=5))
        print("means of samples:", ", ".join(f"{mean:.3f}" for mean in means))
    print("signed news:", send_news(urljoin(url, "/hooks/news")))
    print("pickled, as of old: 1 + 2 =", add_as_of_old(urljoin(url, "/ported/pickled")))


def send_news(url):
    """Sign a request: its method, target, host, type, body, date and a nonce."""
    auth = HMACAuth("newsroom", SECRET)
    with requests.Session() as session:
        session.mount("http://", KeepAliveAdapter())  # strict; any session takes it
        answer = session.post(url, json={"title": "It rains"}, auth=auth, timeout=10)
    answer.raise_for_status()
    return answer.json()


def add_as_of_old(url):
    """Call a service as scripts do that pickle; what is new is the signature."""
    with ServiceClient(url, "pickle", auth=HMACAuth("newsroom", SECRET)) as script:
        return script.add(a=1, b=2)


def show(progress: Progress):
    """Tell how far the server is."""
    print(f"  {progress.text} {progress.done} of {progress.total}", file=sys.stderr)


if __name__ == "__main__":
    main(*sys.argv[1:])
