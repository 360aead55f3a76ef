"""Where a study is stored: URLs, SQLite files, and retries when a server is unavailable."""
