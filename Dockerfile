# syntax=docker/dockerfile:1
# The image of weft: one bundle of JavaScript on a bare Node. `npm run image` makes the same image
# where there is no container engine; a test holds the two against each other.
#
#   docker build -t weft:dev .
#   docker build -t weft:dev --build-arg NODE_IMAGE=gcr.io/distroless/nodejs24-debian12:nonroot .
#
# Where no daemon runs, `buildah build --isolation chroot` takes it as it is.
#
# NODE_IMAGE is what runs: any image with Node 24 (20.19 at least) in /usr/local/bin or /nodejs/bin.
# No shell is needed in it. The defaults name one release by tag, which a registry may move: whoever
# publishes an image gives both by digest,
#
#   docker build --build-arg NODE_IMAGE=node:24.21.0-bookworm-slim@sha256:… \
#     --build-arg BUILD_IMAGE=node:24.21.0-bookworm-slim@sha256:… .
#
# as `docker buildx imagetools inspect node:24.21.0-bookworm-slim` prints them.
ARG BUILD_IMAGE=node:24.21.0-bookworm-slim
ARG NODE_IMAGE=node:24.21.0-bookworm-slim

# What is built is the same on every platform: build on the builder's own.
FROM --platform=$BUILDPLATFORM ${BUILD_IMAGE} AS build
WORKDIR /src
COPY package.json package-lock.json ./
# No package of ours needs an install script; none gets to run one.
RUN npm ci --ignore-scripts --no-audit --no-fund
COPY tsconfig.json ./
COPY scripts scripts
COPY src src
COPY test test
COPY smi smi
COPY manifests manifests
RUN npm run -s build \
 && mkdir -p /app/dist /app/smi /app/manifests \
 && cp dist/*.js /app/dist/ \
 && cp -r smi/crds /app/smi/crds \
 && find manifests -maxdepth 1 -name '*.yaml' -exec cp -t /app/manifests {} +
COPY LICENSE /app/LICENSE
# The bundles are modules; nothing else of package.json is needed where they run.
RUN node -e "const {name, version, license} = require('./package.json'); \
  require('node:fs').writeFileSync('/app/package.json', \
  JSON.stringify({name, version, type: 'module', license}) + '\n')"

FROM ${NODE_IMAGE}
ARG VERSION=dev
LABEL org.opencontainers.image.title="weft" \
      org.opencontainers.image.description="A service mesh for Kubernetes with one proxy per node" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="${VERSION}"
# The allocator gives back what the start needed for a moment.
ENV PATH=/usr/local/bin:/nodejs/bin:/usr/bin:/bin \
    NODE_ENV=production \
    MALLOC_MMAP_THRESHOLD_=65536 \
    MALLOC_TRIM_THRESHOLD_=65536
WORKDIR /app
COPY --from=build /app /app
# A number, so that `runAsNonRoot` can be checked without an account of that name.
USER 65532:65532
STOPSIGNAL SIGTERM
# Exec form: no shell starts it, and signals reach process 1. Code from strings and __proto__ are
# off: what an attacker would need, and we do not.
ENTRYPOINT ["node", "--disable-proto=delete", "--disallow-code-generation-from-strings", "--max-semi-space-size=4", "/app/dist/weft.js"]
