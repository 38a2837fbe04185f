#!/bin/sh
# Runs once, when the data directory is empty. Temporal and Plangate cannot read each other's databases.
# The databases use UTF-8 and collation C, independent of the server's defaults.
set -eu

psql --quiet --set=ON_ERROR_STOP=1 --username=postgres --dbname=postgres \
  --set=temporal_password="$TEMPORAL_DB_PASSWORD" --set=plangate_password="$PLANGATE_DB_PASSWORD" \
  --set=web_password="$PLANGATE_WEB_DB_PASSWORD" <<'SQL'
CREATE ROLE temporal LOGIN PASSWORD :'temporal_password';
CREATE DATABASE temporal OWNER temporal ENCODING 'UTF8' LC_COLLATE 'C' LC_CTYPE 'C' TEMPLATE template0;
CREATE DATABASE temporal_visibility OWNER temporal ENCODING 'UTF8' LC_COLLATE 'C' LC_CTYPE 'C' TEMPLATE template0;
REVOKE CONNECT ON DATABASE temporal FROM PUBLIC;
REVOKE CONNECT ON DATABASE temporal_visibility FROM PUBLIC;

CREATE ROLE plangate LOGIN PASSWORD :'plangate_password';
CREATE DATABASE plangate OWNER plangate ENCODING 'UTF8' LC_COLLATE 'C' LC_CTYPE 'C' TEMPLATE template0;
REVOKE CONNECT ON DATABASE plangate FROM PUBLIC;

-- The inbox can only read the records.
CREATE ROLE plangate_web LOGIN PASSWORD :'web_password';
ALTER ROLE plangate_web SET default_transaction_read_only = on;
GRANT CONNECT ON DATABASE plangate TO plangate_web;
\connect plangate
ALTER DEFAULT PRIVILEGES FOR ROLE plangate IN SCHEMA public GRANT SELECT ON TABLES TO plangate_web;
SQL
