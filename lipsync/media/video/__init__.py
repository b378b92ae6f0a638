"""Reading and writing of frames: decoder, reader, writer, YUV, frame rates, colour tags."""
