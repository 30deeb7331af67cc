"""Every story, told through the service's own path; what came out otherwise is said in words."""

from pathlib import Path

import pytest
from told.numbers import complaint
from told.stories import Count, Story, counts, stories
from told.telling import complaints

STORIES = stories()
COUNTS = counts()


@pytest.mark.parametrize("story", STORIES, ids=[f"{one.file}: {one.title}" for one in STORIES])
def test_story_comes_out_as_told(story: Story, tmp_path: Path) -> None:
    wrong = complaints(story, tmp_path)
    assert not wrong, "\n".join([f"{story.file}.toml: {story.title}", *wrong])


@pytest.mark.parametrize("count", COUNTS, ids=[f"{one.file}: {one.title}" for one in COUNTS])
def test_number_comes_out_as_told(count: Count) -> None:
    wrong = complaint(count)
    assert not wrong, f"{count.file}.toml: {count.title}: {wrong}"
