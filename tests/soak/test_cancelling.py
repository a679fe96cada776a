"""A hundred streams that are cancelled at random places: memory, open files and threads are where they were."""

from __future__ import annotations

import gc
import random
from pathlib import Path

import numpy as np
import psutil
import pytest
from PIL import Image

from motionstream_core.demo.weights import PHOTO_STUDENT
from motionstream_core.media.video_file import VideoFile
from motionstream_core.streaming.render.fit import image_tensor
from motionstream_core.streaming.render.job import read_job
from motionstream_core.streaming.render.renderer import open_renderer

pytestmark = pytest.mark.soak

CANCELS, WARM, FRAMES = 100, 10, 49
GROWS_MIB = 30


def test_a_hundred_cancelled_streams_leave_nothing_behind(tmp_path: Path) -> None:
    Image.effect_noise((128, 128), 60).convert("RGB").save(tmp_path / "a.png")
    renderer, process, chance = open_renderer(PHOTO_STUDENT), psutil.Process(), random.Random(0)
    job = read_job(renderer, "", tmp_path / "a.png", None, num_frames=FRAMES)
    assert job.image is not None
    image = image_tensor(job.image)
    (prompt,) = renderer.encode([""], [image])
    memory, handles, threads = list[float](), list[int](), list[int]()
    for number in range(WARM + CANCELS):
        path = tmp_path / f"{number}.mp4"
        stream = renderer.video(prompt, image, job.tracks, FRAMES)
        with pytest.raises(KeyboardInterrupt), VideoFile(path, 16) as file:
            for _ in range(chance.randint(1, 3)):
                file.push(next(stream))
            raise KeyboardInterrupt
        stream.close()
        assert not path.exists()
        path.with_name(f"{number}.partial.mp4").unlink()
        gc.collect()
        memory.append(process.memory_info().rss / 2**20)
        handles.append(process.num_fds())
        threads.append(process.num_threads())
    assert list(tmp_path.iterdir()) == [tmp_path / "a.png"]
    assert set(handles[WARM:]) == {handles[WARM]}
    assert max(threads[WARM:]) <= threads[WARM]
    early, late = np.median(memory[WARM : WARM + 20]), np.median(memory[-20:])
    assert late - early < GROWS_MIB, memory
