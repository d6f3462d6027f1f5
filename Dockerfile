# The app in a container, for a CPU or, by a build argument, for a GPU with CUDA:
#   docker build -t kfaar .
#   docker build -t kfaar-cuda --build-arg TORCH=cu128 .
# It runs as a user without rights and works on a read-only file system; what it writes goes to /cache and /tmp:
#   docker run --read-only --tmpfs /tmp -v kfaar-cache:/cache -p 127.0.0.1:7860:7860 kfaar
#   docker run --read-only --tmpfs /tmp -v kfaar-cache:/cache -p 127.0.0.1:7860:7860 --gpus all kfaar-cuda --preset paper --fetch
FROM python:3.12-slim

# Which build of torch: `cpu`, or a CUDA version as pytorch.org names it.
ARG TORCH=cpu

RUN useradd --create-home --uid 1000 kfaar \
 && mkdir /cache \
 && chown kfaar:kfaar /cache

WORKDIR /app
COPY requirements.txt ./
RUN pip install --no-cache-dir --index-url "https://download.pytorch.org/whl/${TORCH}" "torch>=2.8,<2.14" torchvision \
 && pip install --no-cache-dir --requirement requirements.txt
COPY app.py pyproject.toml README.md LICENSE NOTICE ./
COPY kfaar_core kfaar_core
COPY demo demo
COPY assets assets
RUN python -m compileall -q kfaar_core demo

USER kfaar
VOLUME /cache
ENV KFAAR_CACHE=/cache/kfaar \
    HF_HOME=/cache/hub \
    MPLCONFIGDIR=/tmp \
    GRADIO_TEMP_DIR=/tmp/gradio \
    GRADIO_SERVER_NAME=0.0.0.0 \
    PYTHONDONTWRITEBYTECODE=1
EXPOSE 7860
HEALTHCHECK --interval=30s --timeout=5s --start-period=120s \
    CMD ["python", "-c", "import urllib.request as u; u.urlopen('http://127.0.0.1:7860/', timeout=4)"]
ENTRYPOINT ["python", "app.py", "--port", "7860"]
