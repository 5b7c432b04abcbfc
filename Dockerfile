# docker build --tag fashion-gan .
# docker run --rm --user "$(id -u):$(id -g)" --volume "$PWD:/work" fashion-gan train --data emoji/ --image-size 32
#
# On a GPU, with NVIDIA's container toolkit:
# docker build --build-arg EXTRAS=features,gpu --tag fashion-gan:gpu .
# docker run --rm --gpus all --user "$(id -u):$(id -g)" --volume "$PWD:/work" fashion-gan:gpu benchmark
FROM python:3.12-slim

ARG EXTRAS=features

WORKDIR /src
COPY constraints.txt pyproject.toml README.md LICENSE ./
COPY callbacks callbacks
COPY fashion_gan fashion_gan
# hadolint ignore=DL3013
RUN pip install --no-cache-dir --constraint constraints.txt ".[${EXTRAS}]"

# Caches of images and of Keras. Any user may write there.
ENV HOME=/home/gan KERAS_HOME=/home/gan/.keras
RUN mkdir -p /home/gan/.keras && chmod -R 777 /home/gan

WORKDIR /work
USER 1000
ENTRYPOINT ["fashion-gan"]
CMD ["--help"]
