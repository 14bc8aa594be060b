DELETE FROM memory WHERE key = $1
