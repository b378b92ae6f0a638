# One's own server:  docker build -t lipsync . && docker run --rm -p 7860:7860 lipsync
# With a GPU add  --gpus all ; to keep downloaded models add  -v lipsync-weights:/home/lipsync/weights
FROM python:3.12-slim

RUN apt-get update \
    && apt-get install -y --no-install-recommends ffmpeg libgl1 libglib2.0-0 build-essential \
    && rm -rf /var/lib/apt/lists/* \
    && useradd --create-home --uid 1000 lipsync

WORKDIR /home/lipsync/app
# torch first: basicsr's set-up script asks for it. These layers last until the requirements change.
COPY requirements.txt constraints.txt ./
RUN pip install --no-cache-dir --upgrade pip setuptools wheel \
    && pip install --no-cache-dir -c constraints.txt torch torchvision numpy cython \
    && pip install --no-cache-dir -c constraints.txt --no-build-isolation -r requirements.txt
COPY . .
# Extras of pyproject.toml, with commas:  docker build --build-arg EXTRAS=cluster .
ARG EXTRAS=""
RUN if [ -n "$EXTRAS" ]; then \
        pip install --no-cache-dir hatchling \
        && pip install --no-cache-dir -c constraints.txt --no-build-isolation --only-deps ".[$EXTRAS]"; \
    fi

# Not root; it may write only into its own home.
RUN install --directory --owner lipsync --group lipsync /home/lipsync/weights /home/lipsync/visits /media/lipsync
USER lipsync
ENV LIPSYNC_WEIGHTS=/home/lipsync/weights \
    GRADIO_TEMP_DIR=/home/lipsync/visits \
    GRADIO_ANALYTICS_ENABLED=False \
    PYTHONUNBUFFERED=1
EXPOSE 7860
HEALTHCHECK --start-period=60s CMD ["python", "-c", "import urllib.request as u; u.urlopen('http://127.0.0.1:7860/')"]
CMD ["python", "app.py", "--host", "0.0.0.0", "--port", "7860"]
