"""What happens beside a training: pictures, card, MLflow."""

from features.definitions import FEATURES
from features.home import Home
from models.evaluation import report_folder
from training import registry
from training.aliases import left_behind
from training.card import write_card
from training.leftovers import alone
from training.narrator import Narrator
from training.pictures import draw
from training.retrain import Retrained


def publish(home: Home, retrained: Retrained, narrator: Narrator) -> list[str]:
    """Draw the pictures, write the card, and write the training down in MLflow.

    Returns
    -------
    list of str
        In words, what of it could not be kept: by now the bundle has its place, and nothing
        that serves hangs on MLflow.
    """
    folder = report_folder(home, retrained.bundle.sha256)
    with narrator.step("Drawing the model card"):
        try:
            draw(retrained, FEATURES, folder)
            write_card(retrained.evaluation, retrained.bundle, home.about(), folder)
        except OSError as error:
            return [
                f"The card in {folder} is not whole, and MLflow knows nothing of this training: "
                f"{error}; the bundle has its place all the same; look at the disk's free space "
                "and at the rights of the home, then train again"
            ]
    with narrator.step("Writing it down in MLflow"), alone(home, wait=True):
        try:
            registry.close_abandoned(home)
            registry.track(home, retrained, folder)
        except registry.TrackingFailed as error:
            return [f"This training is not written down in MLflow: {error}"]
        return left_behind(home)
