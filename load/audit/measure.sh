#!/bin/bash
# measure.sh URL [ROWS]: fills a migrated, empty database with generated audit entries (unless it has some), and prints
# how long PostgreSQL takes for pages of each kind, in the statements that the service sends. For throw-away databases:
#   sallyport stores -- sh -c 'DATABASE_URL=$SALLYPORT_TEST_DATABASE_URL sallyport migrate &&
#                              load/audit/measure.sh $SALLYPORT_TEST_DATABASE_URL 3000000'
set -eu
url=$1 rows=${2:-3000000}
here=$(dirname "$0")
if [ "$(psql -XAtq "$url" -c 'SELECT count(*) FROM (SELECT FROM audit_logs LIMIT 1) t')" = 0 ]; then
    psql -XAtq -v ON_ERROR_STOP=1 -v rows="$rows" "$url" -f "$here/pages.sql"
fi
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
settings="SET statement_timeout='2s'; SET plan_cache_mode=force_custom_plan; SET jit=off"
account="('00000000-0000-7000-8000-' || lpad(to_hex(:a), 12, '0'))::uuid"
columns="a.id, a.action, a.success, a.user_id, a.session_id, a.actor_kind, a.actor_id, a.actor_session_id,
 a.actor_key_id, host(a.ip_address), a.user_agent, a.request_id, a.details::text, a.created_at"
words() { echo "AND a.search @@ plainto_tsquery('simple', '$1')"; }

# measure NAME CONDITIONS: 300 pages of 51 entries, from places that differ.
measure() {
    {
        echo '\set a random(1, 200000)'
        echo '\set r random(0, 199)'
        echo '\set d random(20, 180)'
        echo "SELECT $columns FROM audit_logs a WHERE true $2
          AND a.id < audit_id_at('2026-12-01'::timestamptz + :d * interval '1 day') ORDER BY a.id DESC LIMIT 51;" |
            tr '\n' ' '
    } > "$work/script"
    report "$1"
}

# report NAME: runs the script and prints the shares of its times.
report() {
    (cd "$work" && rm -f took.* && PGOPTIONS="-c statement_timeout=2s -c jit=off" \
        pgbench -n -M simple -t 300 -l --log-prefix=took -f script "$url" > out 2>&1) || cat "$work/out"
    cat "$work"/took.* | awk '{print $3 / 1000}' | sort -n | awk -v name="$1" '
        {t[NR] = $1} END {printf "%-34s p50 %8.2f ms  p99 %8.2f ms  max %8.2f ms\n", name, t[int(NR / 2)],
                          t[int(NR * 0.99)], t[NR]}'
}

measure "no filter" ""
measure "an account, about it" "AND a.user_id = $account"
measure "an action, 1 in 2" "AND a.action = 'user.login'"
measure "an action, 1 in 1000" "AND a.action = '2fa.reset'"
measure "a group of actions" "AND a.action = ANY('{2fa.enabled,2fa.reset,2fa.failed,2fa.locked}')"
measure "failures" "AND NOT a.success"
measure "an address" "AND a.ip_address = ('10.' || :r || '.7.1')::inet"
measure "a network, 1 in 200" "AND a.ip_address <<= ('10.' || :r || '.0.0/16')::inet"
measure "a network and failures" "AND a.ip_address <<= ('10.' || :r || '.0.0/16')::inet AND NOT a.success"
measure "a day" "AND a.created_at >= '2027-02-01' AND a.created_at < '2027-02-02' AND a.id >= audit_id_at('2027-01-31 23:50') AND a.id < audit_id_at('2027-02-02 00:10')"
measure "a word, 1 in 4" "$(words firefox)"
measure "a word, 1 in 500" "$(words middling)"
measure "a word, 1 in 100000" "$(words needle5000)"
measure "a word that nothing has" "$(words nothing)"
measure "two words" "$(words 'login firefox')"
{
    echo '\set p random(0, :n)'
    echo "SELECT $columns, p.position FROM audit_positions p JOIN audit_logs a ON a.id = p.entry_id WHERE p.position > :p
      AND p.position <= :p + 10000 ORDER BY position LIMIT 200;" | tr '\n' ' '
} > "$work/script"
sed -i "s/:n/$(psql -XAtq "$url" -c 'SELECT max(position) FROM audit_positions')/" "$work/script"
report "since, 200 entries"
sed -i "s/ORDER BY/AND a.action = '2fa.reset' ORDER BY/" "$work/script"
report "since, an action of 1 in 1000"
