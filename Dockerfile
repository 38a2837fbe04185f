# The worker, the inbox (web.py), and starter.py beside them: docker compose exec worker python starter.py --help
FROM python:3.11.15-slim

ENV PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    PIP_NO_CACHE_DIR=1 \
    PIP_DISABLE_PIP_VERSION_CHECK=1 \
    PIP_ROOT_USER_ACTION=ignore

WORKDIR /app

COPY requirements-tools.lock ./
RUN pip install --require-hashes -r requirements-tools.lock

COPY starter.py web.py worker.py ./
COPY activities/ activities/
COPY deploy/temporal/numeric-address.sh deploy/temporal/worker-is-polling.sh deploy/temporal/
COPY examples/ examples/
COPY plangate/ plangate/
COPY workflows/ workflows/

# Root owns the code; the worker can write to its own folder only.
RUN useradd --uid 10001 --create-home plangate && install --directory --mode=700 --owner=plangate /var/lib/plangate
USER plangate
ENV PLANGATE_VAR_DIR=/var/lib/plangate

HEALTHCHECK --interval=30s --timeout=10s --start-period=60s --retries=3 CMD ["sh", "deploy/temporal/worker-is-polling.sh"]
CMD ["python", "worker.py"]
