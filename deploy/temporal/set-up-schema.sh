#!/bin/sh
# Creates or migrates Temporal's tables. Safe to run repeatedly.
set -eu

sql_tool() { # DATABASE COMMAND…; the password is in SQL_PASSWORD, where the tool reads it
  database=$1
  shift
  temporal-sql-tool --plugin postgres12 --ep "$POSTGRES_SEEDS" -p "$DB_PORT" -u "$POSTGRES_USER" --db "$database" "$@"
}

schema=/etc/temporal/schema/postgresql/v12
sql_tool temporal setup-schema -v 0.0
sql_tool temporal update-schema -d "$schema/temporal/versioned"
sql_tool temporal_visibility setup-schema -v 0.0
sql_tool temporal_visibility update-schema -d "$schema/visibility/versioned"
echo "Temporal's tables are up to date."
