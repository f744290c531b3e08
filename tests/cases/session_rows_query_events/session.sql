SET SESSION binlog_rows_query_log_events = ON;
