-- Entries for `load/audit/measure.sh`: :rows of them over 180 days, of 200,000 accounts and 50,000 addresses.

SELECT audit_make_partition('2026-12-01'::timestamptz + make_interval(months => m)) FROM generate_series(0, 6) m;
ALTER TABLE audit_logs DISABLE TRIGGER audit_note_arrivals;
INSERT INTO audit_logs (id, ver, gen, partition, user_id, session_id, actor_kind, actor_id, action, success,
                        ip_address, user_agent, request_id, details, created_at)
SELECT overlay(overlay(gen_random_uuid()::text PLACING substr(audit_id_at(t)::text, 1, 13) FROM 1)
               PLACING '7' FROM 15)::uuid,
       1, 1, 1, account, gen_random_uuid(), 'account', account, action, action <> 'user.login_failed',
       ('10.' || r % 200 || '.' || r / 200 % 250 || '.1')::inet,
       (ARRAY['Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0',
              'Mozilla/5.0 (Windows NT 10.0; Win64; x64) Chrome/140.0.0.0 Safari/537.36',
              'curl/8.5.0', 'okhttp/4.12'])[1 + r / 7 % 4],
       md5(g::text),
       CASE WHEN g % 5000 = 0 THEN jsonb_build_object('method', 'pwd', 'name', 'needle' || g % 100000)
            WHEN g % 500 = 0 THEN '{"name":"middling"}' ELSE '{"method":"pwd+otp"}' END,
       t
FROM (SELECT g, '2026-12-01'::timestamptz + g::float8 / :rows * interval '180 days' AS t,
             ('00000000-0000-7000-8000-' || lpad(to_hex((random() * 200000)::int), 12, '0'))::uuid AS account,
             (random() * 50000)::int AS r,
             CASE WHEN g % 1000 = 7 THEN '2fa.reset' WHEN g % 100 = 3 THEN 'device.trusted'
                  WHEN g % 10 = 1 THEN 'user.login_failed' WHEN g % 10 < 6 THEN 'user.login'
                  ELSE 'user.logout' END AS action
      FROM generate_series(1, :rows) g) AS generated;
INSERT INTO audit_positions SELECT row_number() OVER (ORDER BY id), id FROM audit_logs;
VACUUM ANALYZE audit_logs;
ANALYZE audit_positions;
SELECT pg_size_pretty(sum(pg_total_relation_size(name::regclass))) AS entries,
       pg_size_pretty(pg_total_relation_size('audit_positions')) AS positions
FROM audit_log_partitions;
