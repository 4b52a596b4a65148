# One image for every process of ours; docker-compose.yml says which one a container runs.

FROM python:3.11.11-slim-bookworm AS packages
RUN python -m venv /venv
COPY requirements/ingest.txt requirements/web.txt /requirements/
# Wheels only: nothing is compiled, so nothing has to be installed to compile with.
RUN /venv/bin/pip install --no-cache-dir --disable-pip-version-check --require-hashes --only-binary :all: \
      -r /requirements/ingest.txt -r /requirements/web.txt

FROM python:3.11.11-slim-bookworm
RUN useradd --uid 10001 --user-group --no-create-home --shell /usr/sbin/nologin app \
 && install -d -o app -g app /app/.run
COPY --from=packages /venv /venv
ENV PATH=/venv/bin:$PATH PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1
WORKDIR /app
COPY gunicorn.conf.py ./
COPY deploy/livez.py deploy/
COPY ingest ingest
COPY workers workers
COPY web web
# Compiled here, as the file system is read-only where it runs.
RUN python -m compileall -q ingest workers web
USER app
