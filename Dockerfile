# One image a service: docker build --build-arg SERVICE=ledger .
# SERVICE: gateway, ledger, fraud, compliance, chain-bridge, or cli (migrations, topics and the other commands).
# The development EVM node: docker build --target anvil .
ARG PYTHON_IMAGE=python:3.11.11-slim-bookworm
ARG NODE_IMAGE=node:22.12.0-bookworm-slim

FROM ${PYTHON_IMAGE} AS base
ENV PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1 PIP_CACHE_DIR=/cache
# Without a shell or a home; the number is fixed so that volumes and policies can name it.
RUN groupadd --gid 10001 rialto && useradd --uid 10001 --gid 10001 --no-create-home --shell /usr/sbin/nologin rialto

# Every library at its pinned version, by its hash: the layer that all images share while they are built.
FROM base AS libraries
COPY requirements.lock /build/requirements.lock
RUN --mount=type=cache,target=/cache \
    python -m venv /build/all && /build/all/bin/pip install --disable-pip-version-check --require-hashes -r /build/requirements.lock

# Of these, what one service declares, and that service's own code.
FROM libraries AS service-files
ARG SERVICE
COPY deploy/docker/closure.py /build/closure.py
COPY libs /checkout/libs
COPY services /checkout/services
COPY sdk /checkout/sdk
COPY cli /checkout/cli
RUN --mount=type=cache,target=/cache \
    test -n "${SERVICE}" || { echo "name a service: --build-arg SERVICE=gateway" >&2; exit 1; } \
 && /build/all/bin/python /build/closure.py /checkout "${SERVICE}" /build/requirements.lock > /build/service.lock \
 && python -m venv --without-pip /opt/rialto \
 && /build/all/bin/pip --python /opt/rialto/bin/python install --disable-pip-version-check --no-deps --require-hashes -r /build/service.lock \
 && /build/all/bin/python /build/closure.py --copy /checkout "${SERVICE}" /opt/rialto

FROM base AS service
COPY --from=service-files /opt/rialto /opt/rialto
USER 10001:10001
WORKDIR /tmp
EXPOSE 8080
STOPSIGNAL SIGTERM
ENTRYPOINT ["/opt/rialto/bin/python", "-P", "-m"]

FROM ${NODE_IMAGE} AS anvil-files
COPY cli/rialto_cli/embedded/node/package.json cli/rialto_cli/embedded/node/package-lock.json /build/
# npm's wrapper stays behind: signals must reach the program itself.
RUN cd /build && npm ci --ignore-scripts --no-audit --no-fund \
 && cp node_modules/@foundry-rs/anvil-linux-*/bin/anvil /usr/local/bin/anvil

FROM base AS anvil
COPY --from=anvil-files /usr/local/bin/anvil /usr/local/bin/anvil
RUN install -d -o 10001 -g 10001 /data
USER 10001:10001
WORKDIR /data
EXPOSE 8545
ENTRYPOINT ["/usr/local/bin/anvil", "--host", "0.0.0.0", "--port", "8545"]

# The last stage is what is built when no target is named.
FROM service
