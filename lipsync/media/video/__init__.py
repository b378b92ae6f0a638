"""Video decoder, reader, writer, YUV frames, frame rates and colour tags."""
