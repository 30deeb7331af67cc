"""How good the models are, against bars and peers: one JSON object a line on standard output.

``make bench-models`` runs all of it; names on the command line choose. A missed bar prints
``"holds": false``; only what breaks ends with an error.

Intervals are 95 % and resample customers. What a bar is not stated for has ``"bar": null``.
"""

import sys
from typing import Final

from lines import Bench, print_lines
from scores import airline, cdnow, challengers, complete_journey, coupons, demo, telco

BENCHES: Final[dict[str, Bench]] = {
    complete_journey.NAME: complete_journey.complete_journey,
    demo.NAME: demo.demo,
    airline.NAME: airline.airline,
    cdnow.NAME: cdnow.cdnow,
    challengers.NAME: challengers.challengers,
    challengers.MEMBERSHIP: challengers.membership,
    coupons.NAME: coupons.coupons,
    telco.NAME: telco.telco,
}


if __name__ == "__main__":
    print_lines(BENCHES, sys.argv[1:])
