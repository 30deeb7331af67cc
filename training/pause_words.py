"""The crisis switch in words: what is paused, and whom pauses kept from a message."""

from serving.answer import time_text
from serving.contact_policy import told
from serving.pause_looks import Looked


def look_lines(looked: Looked) -> list[str]:
    """What a person reads."""
    found = []
    for pause, held in looked.on:
        still = " and ".join(pause.allow)
        found.append(f"paused ({pause.number}): {told(pause)}; {still} still leave")
        found += [f"  {held.words()}"] if held.decisions else []
    under_review = {pause.number for pause, _ in looked.reviewed}
    for pause, held in looked.ended:
        if held.decisions and pause.number not in under_review:
            found.append(f"let go ({pause.number}): {told(pause)}")
            found.append(f"  {held.words()}; what is not too late is decided anew")
    for pause, held in looked.reviewed:
        found.append(
            f"under review ({pause.number}): {told(pause)}; ended {time_text(pause.ended_at or 0)};"
            " what came due before is not sent by itself"
        )
        found += [f"  {held.words()}"] if held.decisions else []
    return found if looked.on else ["nothing is paused", *found]
