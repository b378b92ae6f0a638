"""The lip-sync pipeline: video and voice in, synced video out.

    job.py                 open and check what was given; which video frame shows when
    model_provider.py      networks: loaded for one job, or cached for many
    audio_conditioning.py  voices -> what each speaker says, as the generator takes it
    preparation.py         generator and audio, in the background, while
    face_tracks.py         faces are detected and tracked in the reduced video
    stages.py              read, crop, draw, blend, enhance, in chunks of frames
    scoring.py             sync score of result and source, as frames stream past
    outputs.py             writer, resume, subtitles, result and its warnings
    sync.py, preview.py    the steps in a row, for a whole video and for one frame

Frames are read twice: once reduced, to detect and track faces over the whole length (so that a face is
selected, smoothed and interpolated with knowledge of what comes later), and once at full size, to draw
on. Within each pass the stages run at the same time, one thread each, joined by short queues; no more
than a few chunks of frames are held, whatever the length.
"""
