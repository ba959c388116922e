# The operator's image: stage `runner` is the base for operators of your own, `operator` adds Foo to it. See docs/reference/image.md.
#
# CORE, for example 2.18, is the ansible-core in place of the newest one that the base's Python runs.
#
# Settings for pip inside the build (a mirror, a certificate authority) come as secrets, `pip.conf` and `ca.crt`; `make
# image` hands over those of this machine. They are mounted while pip runs, and are in no layer.

ARG BASE_IMAGE=docker.io/library/debian:trixie-slim

# What is in every stage: the distribution's Python (without pip), certificates, and an init that reaps and forwards.
FROM ${BASE_IMAGE} AS base
RUN export DEBIAN_FRONTEND=noninteractive \
 && apt-get update \
 && apt-get install --yes --no-install-recommends ca-certificates python3 tini \
 && rm -rf /var/lib/apt/lists/* /var/cache/* /var/log/* \
 && find / -xdev -type f -perm /6000 -exec chmod ug-s {} +

FROM base AS build
RUN export DEBIAN_FRONTEND=noninteractive \
 && apt-get update \
 && apt-get install --yes --no-install-recommends python3-venv
RUN python3 -m venv /build/pip && python3 -m venv --without-pip /opt/reconcile-runner/venv
WORKDIR /build
ENV PIP_CERT=/etc/ssl/certs/ca-certificates.crt
COPY requirements/runtime-py*.txt requirements/core-*.txt requirements/build.txt requirements/
ARG CORE=
RUN --mount=type=secret,id=pip.conf,target=/etc/pip.conf \
    --mount=type=secret,id=ca.crt,target=/etc/ssl/certs/ca-certificates.crt \
    minor=$(python3 -c 'import sys; print("%d%d" % sys.version_info[:2])') \
 && /build/pip/bin/pip --python /opt/reconcile-runner/venv/bin/python --disable-pip-version-check --quiet \
    install --no-cache-dir --no-compile --require-hashes --only-binary=:all: -r "requirements/runtime-py${minor}.txt" \
 && if [ -n "${CORE}" ]; then /build/pip/bin/pip --python /opt/reconcile-runner/venv/bin/python --disable-pip-version-check \
    --quiet install --no-cache-dir --no-compile --require-hashes --only-binary=:all: -r "requirements/core-${CORE}.txt"; fi \
 && /build/pip/bin/pip --disable-pip-version-check --quiet \
    install --no-cache-dir --require-hashes --only-binary=:all: -r requirements/build.txt
COPY requirements/collections.txt requirements/
COPY tools/__init__.py tools/environment.py tools/get_collections.py tools/progress.py tools/
RUN --mount=type=secret,id=pip.conf,target=/etc/pip.conf \
    --mount=type=secret,id=ca.crt,target=/etc/ssl/certs/ca-certificates.crt \
    /build/pip/bin/python -m tools.get_collections --into /usr/share/ansible/collections
# What only the authors of these packages need, and 43 MB of generated asyncio classes that no role's module can use.
RUN cd /opt/reconcile-runner/venv/lib/python3*/site-packages \
 && rm -rf ansible_test ../../../bin/ansible-test */tests kubernetes_asyncio/client/api kubernetes_asyncio/client/models \
 && cd /usr/share/ansible/collections/ansible_collections/kubernetes/core \
 && rm -rf changelogs CHANGELOG.rst CI.md CONTRIBUTING.md Makefile *.cfg *.ini *.txt *.yml sonar-project.properties
# The project itself, built by the locked backend, without an index.
COPY pyproject.toml README.md LICENSE NOTICE ./
COPY collections/ collections/
COPY runner/ runner/
# pip reads the certificate authorities all the same, and buildah leaves no file where it has mounted one.
RUN --mount=type=secret,id=pip.conf,target=/etc/pip.conf \
    --mount=type=secret,id=ca.crt,target=/etc/ssl/certs/ca-certificates.crt \
    /build/pip/bin/pip --disable-pip-version-check --quiet wheel --no-deps --no-build-isolation --no-index --wheel-dir dist . \
 && /build/pip/bin/pip --python /opt/reconcile-runner/venv/bin/python --disable-pip-version-check --quiet \
    install --no-cache-dir --no-compile --no-deps --no-index dist/*.whl \
 && cd /opt/reconcile-runner && ln -s venv/lib/python3*/site-packages/reconcile_runner/collections collections
# With a read-only root file system nothing is compiled later, and each start would compile everything again. Left out is
# what is seldom loaded and would take as much room as the rest.
RUN /opt/reconcile-runner/venv/bin/python -m compileall -q --invalidation-mode unchecked-hash \
    -x '/kubernetes/client/(api|models)/|/pygments/|/ansible/galaxy/data/' /opt/reconcile-runner

FROM base AS runner
# HOME, the names and the identity are those of upstream's image, which Dockerfiles of operators refer to.
ENV HOME=/opt/ansible \
    USER_NAME=ansible \
    USER_UID=1001 \
    # Somebody's UID has no name in a container: what asks for the user's name gets this one.
    USER=ansible \
    LANG=C.UTF-8 \
    PATH=/opt/reconcile-runner/venv/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin \
    # What Ansible would write below HOME goes where a read-only root file system has a volume.
    ANSIBLE_LOCAL_TEMP=/tmp \
    ANSIBLE_REMOTE_TEMP=/tmp \
    ANSIBLE_ASYNC_DIR=/tmp/.ansible_async \
    ANSIBLE_PERSISTENT_CONTROL_PATH_DIR=/tmp/.ansible_pc \
    ANSIBLE_SSH_CONTROL_PATH_DIR=/tmp/.ansible_cp
COPY --from=build /opt/reconcile-runner/ /opt/reconcile-runner/
COPY --from=build /usr/share/ansible/ /usr/share/ansible/
COPY tools/image/ansible.cfg /etc/ansible/ansible.cfg
# /tini and /usr/local/bin/python3 are upstream's, too. A link would not do for Python: it finds its environment beside
# the path that it was started by.
RUN ln -s /opt/reconcile-runner/venv/bin/ansible-operator /usr/local/bin/ansible-operator \
 && ln -s /usr/bin/tini /tini \
 && printf '#!/bin/sh\nexec /opt/reconcile-runner/venv/bin/python3 "$@"\n' >/usr/local/bin/python3 \
 && chmod 755 /usr/local/bin/python3 \
 && mkdir --parents ${HOME}/.ansible \
 && echo "${USER_NAME}:x:${USER_UID}:0:operator:${HOME}:/usr/sbin/nologin" >>/etc/passwd \
 && chown --recursive ${USER_UID}:0 ${HOME} \
 && chmod --recursive ug+rwx ${HOME}
WORKDIR ${HOME}
USER ${USER_UID}:0
ENTRYPOINT ["/usr/bin/tini", "--", "/usr/local/bin/ansible-operator", "run", "--watches-file=./watches.yaml"]
ARG RUNNER_COMMIT=unknown
ENV RUNNER_COMMIT=${RUNNER_COMMIT}
LABEL org.opencontainers.image.title="ansible-reconcile-runner" \
      org.opencontainers.image.description="Base image for Kubernetes operators written in Ansible" \
      org.opencontainers.image.revision="${RUNNER_COMMIT}"

FROM runner AS operator
COPY watches.yaml ./
COPY roles/ roles/
COPY playbooks/ playbooks/
# The title is the operator's name: `make image` gives it.
LABEL org.opencontainers.image.description="An operator for Foos, objects that are happy while their friend exists"
