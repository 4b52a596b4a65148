#!/usr/bin/env bash
# A server that speaks MongoDB's protocol, without containers: PostgreSQL 18 with the DocumentDB extension (Debian
# packages unpacked into a private prefix; the host is not touched) behind FerretDB 2 (built from its Go module).
#   mongo.sh fetch          download, unpack, build; nothing to do when it is there (needs apt-get, dpkg-deb, go >= 1.25)
#   mongo.sh init           create the database cluster once
#   mongo.sh run postgres   in the foreground; stop it with SIGINT, as SIGTERM would wait for open connections
#   mongo.sh run ferretdb   in the foreground; stop it with SIGTERM; may start before postgres
# Environment: PREFIX (programs; cannot be moved), STATE (data), MONGO_PORT, PG_PORT, RUN_AS (nobody),
# MONGO_MIRROR (default: the Debian mirror that the host uses).
# Started by root, both servers run as $RUN_AS, because postgres refuses root; else as the calling user.
set -euo pipefail; umask 022
RUN_AS=${RUN_AS:-nobody} SUITE=${MONGO_SUITE:-forky} PKG=postgresql-18-documentdb FERRETDB=${FERRETDB:-v2.7.0}
ROOT=$PREFIX/root APT=$PREFIX/apt
PG=$ROOT/usr/lib/postgresql/18/bin FERRET=$PREFIX/bin/ferretdb-$FERRETDB
# Command that drops root's rights. Doing so clears the signal that a process gets when its parent dies: set it again.
as() {
  local signal=$1; shift
  if [ "$(id -u)" != 0 ]; then exec "$@"; fi
  exec setpriv --reuid="$RUN_AS" --regid="$(id -g "$RUN_AS")" --clear-groups --pdeathsig "$signal" env HOME="$VAR" "$@"
}
die() { echo "mongo.sh: $*" >&2; exit 1; }

mirror() {  # $MONGO_MIRROR, or the Debian repository named in the host's own apt sources
  [ -z "${MONGO_MIRROR:-}" ] || { echo "$MONGO_MIRROR"; return; }
  apt-get indextargets --format '$(REPO_URI)' 'Created-By: Packages' 'Component: main' | awk '/\/debian\/?$/ && !n++'
}

assume_installed() {  # dpkg status entries for what the server never loads, so that apt leaves it out
  local fmt='Package: %s\nStatus: install ok installed\nArchitecture: %s\nMulti-Arch: foreign\nMaintainer: -\nVersion: 9999:1\nDescription: -\n\n'
  for p; do printf "$fmt" "$p" "$(dpkg --print-architecture)"; done > "$APT/status"
}

fetch_postgres() {
  local want="$SUITE $PKG $ROOT" url deb ld lib pe   # the paths are baked in
  [ "$(cat "$ROOT/.done" 2>/dev/null || true)" != "$want" ] || return 0
  url=$(mirror); [ -n "$url" ] || die "no Debian mirror found in the host's apt sources; set MONGO_MIRROR"
  mkdir -p "$APT/state/lists/partial" "$APT/cache/archives/partial"
  echo "deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] $url $SUITE main" > "$APT/sources.list"
  local o=(-qq -o Dir::State="$APT/state" -o Dir::State::status="$APT/status" -o Dir::Cache="$APT/cache"
    -o Dir::Etc::sourcelist="$APT/sources.list" -o Dir::Etc::sourceparts=/dev/null -o Dir::Etc::preferences=/dev/null
    -o Dir::Etc::preferencesparts=/dev/null -o APT::Sandbox::User=root -o APT::Install-Recommends=false -o Acquire::Retries=3
    -o Acquire::Languages=none -o Acquire::IndexTargets::deb::DEP-11::DefaultEnabled=false -o Acquire::Check-Valid-Until=false)
  assume_installed
  apt-get "${o[@]}" update
  assume_installed postgresql-common postgresql-client-common ssl-cert locales tzdata debconf proj-data libc-bin \
    $(apt-cache "${o[@]}" depends postgresql-18-postgis-3 | grep -oE 'lib(gdal|sfcgal)[0-9]+' | sort -u)
  apt-get "${o[@]}" autoclean > /dev/null                          # drops superseded versions from the private cache
  apt-get "${o[@]}" install -y --download-only "$PKG" patchelf     # checks signatures and hashes
  rm -rf "$ROOT"; mkdir "$ROOT"
  for deb in "$APT"/cache/archives/*.deb; do
    dpkg-deb --fsys-tarfile "$deb" | tar -x -C "$ROOT" --no-same-owner --exclude='./usr/share/'{doc,man,locale,info,lintian} --exclude='*/gconv/*'
  done
  ln -sf postgis-3.control "$ROOT/usr/share/postgresql/18/extension/postgis.control"   # update-alternatives' work
  # Private loader and libraries: the host's libc does not matter. (A library's own RUNPATH would disable the program's RPATH.)
  ld=$(echo "$ROOT"/usr/lib/*-linux-gnu/ld-linux-*.so.*); lib=${ld%/*}
  pe=("$ld" --library-path "$lib" "$ROOT/usr/bin/patchelf")
  "${pe[@]}" --remove-rpath "${PG%/bin}"/lib/*.so "$lib"/libgeos_c.so.?
  (cd "$PG" && "${pe[@]}" --set-interpreter "$ld" --force-rpath --set-rpath "$lib:${PG%/bin}/lib" postgres initdb pg_ctl psql)
  (cd "$APT/cache/archives" && sha256sum -- *.deb) > "$PREFIX/debs.sha256"
  echo "$want" > "$ROOT/.done"
}

fetch() {
  fetch_postgres; [ ! -x "$FERRET" ] || return 0
  CGO_ENABLED=0 GOBIN="$PREFIX/bin" go install -trimpath -ldflags='-s -w' "github.com/FerretDB/FerretDB/v2/cmd/ferretdb@$FERRETDB"
  mv "$PREFIX/bin/ferretdb" "$FERRET"
}

init() {
  [ ! -e "$DATA/.done" ] || return 0
  [ -e "$ROOT/.done" ] || die "run 'mongo.sh fetch' first"
  rm -rf "$DATA"; mkdir -p "$DATA" "$VAR"; cd "$VAR"
  [ "$(id -u)" != 0 ] || chown "$RUN_AS:" "$DATA" "$VAR"
  (as keep test -x "$PG/postgres" -a -w "$DATA") || die "user $RUN_AS cannot reach $PREFIX or $STATE: everyone must be able to enter their parents"
  (as keep "$PG/initdb" -D "$DATA" -U postgres -E UTF8 --locale-provider=builtin --locale=C.UTF-8 --auth=trust) > "$VAR/initdb.log"
  (as keep tee -a "$DATA/postgresql.conf") > /dev/null <<-EOF
	shared_preload_libraries = 'pg_cron,pg_documentdb_core,pg_documentdb'
	cron.database_name = 'postgres'
	cron.log_run = off
	cron.log_statement = off
	listen_addresses = '127.0.0.1'
	unix_socket_directories = ''
	max_wal_size = 256MB
	EOF
  (as keep "$PG/pg_ctl" -D "$DATA" -w -s -o "-p $PG_PORT" -l "$VAR/init.log" start)
  (as keep "$PG/psql" -qX -v ON_ERROR_STOP=1 "$PGURL" -c 'SET client_min_messages = warning' -c 'CREATE EXTENSION documentdb CASCADE') ||
    { (as keep "$PG/pg_ctl" -D "$DATA" -m immediate -s stop); die "CREATE EXTENSION failed, see $VAR/init.log"; }
  (as keep "$PG/pg_ctl" -D "$DATA" -m fast -s -w stop)
  (as keep touch "$DATA/.done")
}

run() {
  [ -e "$DATA/.done" ] && cd "$VAR" || die "run 'mongo.sh init' first"
  case $1 in
    postgres) as INT "$PG/postgres" -D "$DATA" -p "$PG_PORT" ;;
    ferretdb) as TERM "$FERRET" --postgresql-url="$PGURL" --listen-addr="127.0.0.1:$MONGO_PORT" --no-auth \
        --telemetry=disable --debug-addr=- --state-dir="$VAR" --log-level=warn ;;
    *) die "run what? postgres or ferretdb" ;; esac
}

case ${1:-} in
  fetch) mkdir -p "$PREFIX"; exec 9> "$PREFIX/.lock"; flock 9; fetch 9>&- ;;
  init | run)
    # Through a link, as who runs the servers need not be able to enter the folder that holds it.
    STATE=$(readlink -m "$STATE") DATA=$STATE/data VAR=$STATE/var PGURL="postgres://postgres@127.0.0.1:$PG_PORT/postgres?sslmode=disable"
    "$1" "${2:-}" ;;
  *) sed -n '2,11s/^# *//p' "$0" >&2; exit 2 ;;
esac
