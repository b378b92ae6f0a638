"""The lip-sync pipeline: video and voice in, synced video out.

    job.py                 open and check the inputs; map result frames to video frames
    model_provider.py      networks: loaded for one job, or cached for many
    run_cache.py           faces, audio features and mouths of earlier runs
    audio_conditioning.py  voices -> audio features and mouth weights of each speaker
    preparation.py         load the networks and condition the audio, in the background
    face_tracks.py         detect and track faces in the reduced video, meanwhile
    stages.py              read, crop, draw, blend, enhance, in chunks of frames
    scoring.py             sync score of result and source, computed on the stream of frames
    outputs.py             writer, resume, subtitles, result and its warnings
    shared_parts.py        parts of a long result that other processes draw
    overall.py             progress of a run as a whole
    sync.py, preview.py    all steps, for a whole video and for one frame

Frames are decoded twice: first reduced, to detect and track faces over the whole video (selection, smoothing
and interpolation need later frames), then at full size, for rendering. Within each pass the stages run
concurrently, one thread each, connected by bounded queues; only a few chunks of frames are in memory,
whatever the length of the video.
"""
