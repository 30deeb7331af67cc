"""How well decisions are made and judged: one JSON object a line on standard output.

``make bench-decisions`` runs all of it; names on the command line choose. A missed bar prints
``"holds": false``; only what breaks ends with an error.
"""

import sys

from decisions.hillstrom import hillstrom
from decisions.pilot_bars import pilots
from decisions.policies import policies
from decisions.replays import replays
from decisions.speed import speed
from lines import print_lines

BENCHES = {
    "hillstrom": hillstrom,
    "pilots": pilots,
    "policies": policies,
    "replays": replays,
    "speed": speed,
}

if __name__ == "__main__":
    print_lines(BENCHES, sys.argv[1:])
