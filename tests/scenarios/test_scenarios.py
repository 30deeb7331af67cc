"""Every story, told through the service's own path; what came out otherwise is said in words."""

from pathlib import Path

import pytest

from tests.scenarios.stories import Story, stories
from tests.scenarios.telling import complaints

STORIES = stories()


@pytest.mark.parametrize("story", STORIES, ids=[f"{one.file}: {one.title}" for one in STORIES])
def test_story_comes_out_as_told(story: Story, tmp_path: Path) -> None:
    wrong = complaints(story, tmp_path)
    assert not wrong, "\n".join([f"{story.file}.toml: {story.title}", *wrong])
