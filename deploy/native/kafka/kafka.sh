#!/usr/bin/env bash
# A single-node Kafka without containers.
#   kafka.sh fetch    jars into $LIBS, checked against libs.sha256; nothing to do when they are already right
#   kafka.sh format   prepare $DATA once
#   kafka.sh run      in the foreground; SIGTERM stops it cleanly
# Environment: LIBS, DATA, KAFKA_PORT, KAFKA_CONTROLLER_PORT, JAVA (java), KAFKA_HEAP (320m), KAFKA_LOG_LEVEL (warn)
set -euo pipefail
umask 022
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
java=${JAVA:-java}
cluster_id=bG9jYWwta2Fma2Etbm9kZQ                               # 16 bytes, base64url, no padding

jvm=(-Xms64m "-Xmx${KAFKA_HEAP:-320m}" -XX:+UseSerialGC -XX:TieredStopAtLevel=1 -Xshare:auto -Xlog:cds=off -Xlog:cds+dynamic=off
     -Djava.awt.headless=true "-Dlog4j2.configurationFile=$here/log4j2.properties" "-Dkafka.log.level=${KAFKA_LOG_LEVEL:-warn}")

complete() { (cd "$1" 2>/dev/null && sha256sum --quiet --strict -c "$here/libs.sha256" >/dev/null 2>&1); }

fetch() {
    ! complete "$LIBS" || return 0
    # Into a folder beside it, so that a broken download never replaces jars that a running broker uses.
    rm -rf "$LIBS.new"
    mvn -q -B -C -f "$here/pom.xml" dependency:copy-dependencies -DincludeScope=runtime "-DoutputDirectory=$LIBS.new"
    (cd "$LIBS.new" && sha256sum --quiet --strict -c "$here/libs.sha256")
    rm -rf "$LIBS"
    mv "$LIBS.new" "$LIBS"
}

config() {
    sed -e "s#@DATA@#$DATA#g" -e "s#@PORT@#$KAFKA_PORT#g" -e "s#@CPORT@#$KAFKA_CONTROLLER_PORT#g" \
        "$here/server.properties.in" > "$DATA/server.properties.new"
    mv -f "$DATA/server.properties.new" "$DATA/server.properties"
}

format() {                                                      # an already formatted directory is left alone
    [ ! -f "$DATA/log/meta.properties" ] || return 0
    mkdir -p "$DATA/log"
    config
    "$java" "${jvm[@]}" -cp "$LIBS/*" kafka.tools.StorageTool format --standalone --ignore-formatted \
        -t "$cluster_id" -c "$DATA/server.properties"
}

run() {
    config
    exec "$java" "${jvm[@]}" -cp "$LIBS/*" kafka.Kafka "$DATA/server.properties"
}

case "${1:-}" in
    fetch|format|run) "$1" ;;
    *) sed -n '2,6s/^# *//p' "$0" >&2; exit 2 ;;
esac
